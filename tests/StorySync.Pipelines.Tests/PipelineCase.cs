using System.Text.Json;
using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Schedulers;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Reads what a pipeline case of the reference says of its call.</summary>
internal sealed class PipelineCase(Comparison comparison)
{
    public JsonElement Params { get; } = comparison.Case.Params;

    public IReadOnlyList<string>? Strings(string name) =>
        Find(name) is { } value ? [.. value.EnumerateArray().Select(s => s.GetString()!)] : null;

    public int? Int(string name) => Find(name)?.GetInt32();

    public double? Double(string name) => Find(name)?.GetDouble();

    public (int, int)? Pair(string name) => Find(name) is { } value ? (value[0].GetInt32(), value[1].GetInt32()) : null;

    public JsonElement? Find(string name) =>
        Params.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;

    public RgbImage? Image(string name) =>
        comparison.Case.Files.ValueKind == JsonValueKind.Object && comparison.Case.Files.TryGetProperty(name, out var path)
            ? RgbImage.Load(comparison.Case.PathOf(path.GetString()!))
            : null;

    /// <summary>Hands out the noise that the case recorded, in its order.</summary>
    public NoiseSource Tape()
    {
        var next = 0;
        return like =>
        {
            var noise = comparison.Input($"noise.{next++}");
            Assert.Equal(like.shape, noise.shape);
            return noise;
        };
    }

    /// <summary>The request, but for what belongs to one architecture.</summary>
    public T Fill<T>(T request)
        where T : GenerationRequest => request with
        {
            NegativePrompts = Strings("negative_prompt"),
            Height = Int("height"),
            Width = Int("width"),
            Steps = Int("num_inference_steps"),
            GuidanceScale = Double("guidance_scale"),
            ImagesPerPrompt = Int("num_images_per_prompt") ?? 1,
            Images = Image("input_image") is { } image ? [image] : null,
            Mask = Image("mask_image"),
            Strength = Double("strength") ?? 0.3,
            Latents = comparison.OptionalInput("latents"),
            Noise = Tape(),
        };

    /// <summary>Runs a request and checks it at the denoiser, after every step and at the end.</summary>
    /// <param name="pipeline">The pipeline.</param>
    /// <param name="denoiser">Its denoiser.</param>
    /// <param name="request">What to generate.</param>
    /// <param name="checkFirst">Checks what the denoiser is given first.</param>
    /// <param name="passes">The diffusers passes that one answer stands for, in order; by default it is one.</param>
    public void CheckRun<TInputs>(
        DiffusionPipeline pipeline,
        nn.Module<TInputs, DenoisingContext, Tensor> denoiser,
        GenerationRequest request,
        Action<TInputs> checkFirst,
        Func<Tensor, IEnumerable<Tensor>>? passes = null)
    {
        var (answers, latents, timesteps) = (new List<Tensor>(), new List<Tensor>(), new List<float>());
        denoiser.register_forward_hook((_, inputs, _, answer) =>
        {
            if (answers.Count == 0)
            {
                checkFirst(inputs);
            }

            answers.AddRange((passes?.Invoke(answer) ?? [answer]).Select(pass => pass.clone().DetachFromDisposeScope()));
            return answer;
        });
        using var result = pipeline.Generate(request with
        {
            OnStep = step =>
            {
                latents.Add(step.Latents.clone().DetachFromDisposeScope());
                timesteps.Add(step.Timestep);
            },
        });

        comparison.Check("out.denoiser_outputs", stack(answers));
        comparison.Check("out.timesteps", tensor(timesteps.ToArray()));
        comparison.Check("out.latents_after_step", stack(latents));
        comparison.Check("out.image", pipeline.DecodeLatents(result.Latents, request.Height ?? 0, request.Width ?? 0, default));
        comparison.AssertAll();
        CheckImages(result.Images);
    }

    /// <summary>Checks images against the PNG files, where one gray level is allowed.</summary>
    private void CheckImages(IReadOnlyList<RgbImage> images)
    {
        Assert.Equal(comparison.Case.Files.EnumerateObject().Count(file => file.Name.StartsWith("image.", StringComparison.Ordinal)),
            images.Count);
        for (var i = 0; i < images.Count; i++)
        {
            var expected = Image($"image.{i}")!;
            Assert.Equal((expected.Width, expected.Height), (images[i].Width, images[i].Height));
            for (var p = 0; p < expected.Pixels.Length; p++)
            {
                Assert.InRange(images[i].Pixels[p] - expected.Pixels[p], -1, 1);
            }
        }
    }
}
