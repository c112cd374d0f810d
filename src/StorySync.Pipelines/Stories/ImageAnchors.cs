using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Schedulers;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>The images among a batch of anchors. Nothing is drawn in their rows: at each model call they are the encoded image with
/// that call's noise, in the unmodified branch too.</summary>
/// <param name="story">The anchors, without a cast.</param>
/// <param name="attention">The run's attention, which is told where the images' subjects are.</param>
/// <param name="mostNoise">The share of noise below which subjects are looked for.</param>
/// <param name="look">Makes what finds the subjects in the scenes of some indices, alone.</param>
internal sealed class ImageAnchors(
    Story story, StoryAttention attention, double mostNoise, Func<IReadOnlyList<int>, StoryAttention> look)
{
    private readonly int[] rows = [.. story.Scenes.Index().Where(scene => scene.Item.Image is not null).Select(scene => scene.Index)];
    private IReadOnlyList<RgbImage> ownImages = [];
    private Tensor? clean;
    private Tensor? noise;

    /// <summary>Encodes the images and puts them among the latents. What it keeps lies in the caller's dispose scope.</summary>
    /// <param name="pipeline">The model.</param>
    /// <param name="plan">The steps.</param>
    /// <param name="beginIndex">The first model call.</param>
    /// <param name="seeds">The seed of each row.</param>
    /// <param name="start">What all rows would begin with.</param>
    /// <param name="height">Pixels.</param>
    /// <param name="width">Pixels.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    public InitialLatents Begin(
        DiffusionPipeline pipeline, SchedulePlan plan, int beginIndex, IReadOnlyList<long> seeds, InitialLatents start, int height,
        int width, CancellationToken cancellationToken)
    {
        ownImages = [.. rows.Select(row => story.Scenes[row].Image!.Resize(width, height))];
        using var draws = new SeededNoise(rows.Select(row => seeds[row]));
        noise = pipeline.DrawNoise(draws.Draw, rows.Length, height, width);
        using var pixels = cat([.. ownImages.Select(image => image.ToTensor())], dim: 0).to(pipeline.Options.Dtype, pipeline.Device);
        clean = pipeline.EncodeImages(pixels, draws.Draw, cancellationToken);
        return start with { Latents = Put(start.Latents, beginIndex), AfterStep = Put };

        Tensor Put(Tensor latents, int call)
        {
            using var scope = NewDisposeScope();
            var own = call < plan.Timesteps.Length ? plan.AddNoise(clean, noise, call) : clean;
            return latents.index_copy(0, Rows(rows, latents.device), own.to(latents.dtype)).MoveToOuterDisposeScope();
        }
    }

    /// <summary>Finds the subjects whose place is not given, by one call of the model with the images alone: the first one with little
    /// enough noise.</summary>
    /// <param name="predict">The model: sample, timestep, conditions, run → prediction.</param>
    /// <param name="job">The run.</param>
    public void FindSubjects(Func<Tensor, Tensor, PromptEmbeddings, DenoisingContext, Tensor> predict, DenoisingJob job)
    {
        var sought = StoryRules.FoundSubjects(story, story.Scenes.Count, ofImages: true).ToList();
        if (sought.Count == 0)
        {
            return;
        }

        using var scope = NewDisposeScope();
        int[] scenes = [.. sought.Select(pair => pair.Scene).Distinct()];
        var among = Rows([.. scenes.Select(scene => Array.IndexOf(rows, scene))], clean!.device);
        var call = job.BeginIndex;
        while (call < job.Plan.Timesteps.Length - 1 && job.Plan.Level(call).Share >= mostNoise)
        {
            call++;
        }

        var noised = job.Plan.AddNoise(clean.index_select(0, among), noise!.index_select(0, among), call);
        var positive = job.Guide is null ? 0 : (int)job.Latents.shape[0];
        using var finder = look(scenes);
        var context = new DenoisingContext
        {
            Step = call - job.BeginIndex,
            Steps = job.Context.Steps,
            Processor = finder,
            CancellationToken = job.Context.CancellationToken,
        };
        _ = predict(
            job.Plan.ScaleModelInput(noised, call),
            tensor(job.Plan.Timesteps[call], device: noised.device),
            job.Embeddings.Select(Rows([.. scenes.Select(scene => positive + scene)], noised.device)),
            context);
        finder.CompleteStep();
        foreach (var (scene, subject) in sought)
        {
            attention.SetMask(scene, subject, finder.MaskOf(Array.IndexOf(scenes, scene), subject));
        }
    }

    /// <summary>Decodes what was drawn; the images are their own images.</summary>
    /// <param name="latents">The final latents of all rows.</param>
    /// <param name="decode">Decodes latents.</param>
    public IReadOnlyList<RgbImage> Decode(Tensor latents, Func<Tensor, IReadOnlyList<RgbImage>> decode)
    {
        using var scope = NewDisposeScope();
        int[] drawn = [.. Enumerable.Range(0, (int)latents.shape[0]).Except(rows)];
        var images = new RgbImage[latents.shape[0]];
        foreach (var (row, image) in rows.Zip(ownImages).Concat(drawn.Length == 0 ? []
            : drawn.Zip(decode(latents.index_select(0, Rows(drawn, latents.device))))))
        {
            images[row] = image;
        }

        return images;
    }

    private static Tensor Rows(IReadOnlyList<int> rows, Device device) =>
        DeviceTransfer.Send(tensor([.. rows.Select(row => (long)row)]), device);
}
