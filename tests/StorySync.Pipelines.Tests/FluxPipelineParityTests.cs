using StorySync.Diffusion.Flux;
using StorySync.Diffusion.Tokenizers;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

public class FluxPipelineParityTests
{
    public static TheoryData<string> Cases() =>
        ReferenceData.CaseNames(c => c.Group == "pipeline" && c.Call.StartsWith("diffusers.Flux", StringComparison.Ordinal));

    [Theory]
    [MemberData(nameof(Cases))]
    public void Pipeline_is_that_of_diffusers(string name)
    {
        using var mode = inference_mode();
        using var comparison = new Comparison(ReferenceData.Case(name));
        var pipelineCase = new PipelineCase(comparison);
        using var copy = new ModelCopy(comparison.Case.PathOf(Folders(comparison.Case)[^1]));
        using var pipeline = Load(comparison.Case, copy);

        var request = pipelineCase.Fill(new FluxRequest { Prompts = pipelineCase.Strings("prompt")! }) with
        {
            Prompts2 = pipelineCase.Strings("prompt_2"),
            NegativePrompts2 = pipelineCase.Strings("negative_prompt_2"),
            TrueCfgScale = pipelineCase.Double("true_cfg_scale") ?? 1,
            MaxSequenceLength = pipelineCase.Int("max_sequence_length"),
        };

        var guidance = request is { TrueCfgScale: > 1, NegativePrompts: not null };
        comparison.Check("out.input_ids", Ids(pipeline.Tokenizer, request.Prompts, null));
        comparison.Check("out.input_ids_2", Ids(pipeline.Tokenizer2, request.Prompts2 ?? request.Prompts, request.MaxSequenceLength));
        var embeddings = (FluxEmbeddings)pipeline.Encode(request, request.Height!.Value, request.Width!.Value, guidance, default);
        comparison.Check("out.prompt_embeds", Halves(embeddings.Text, guidance)[^1]);
        comparison.Check("out.pooled_prompt_embeds", Halves(embeddings.Pooled, guidance)[^1]);
        var (textIds, imageIds) = (FluxLatents.TextIds(embeddings.Text.shape[1]), FluxLatents.ImageIds(embeddings.Grid));
        comparison.Check("out.text_ids", textIds);
        comparison.Check("out.denoiser.txt_ids", textIds);
        comparison.Check("out.denoiser.img_ids", imageIds);
        var positions = pipeline.Transformer.EmbedPositions(textIds, imageIds).Turns;

        // diffusers makes two passes, the positive one first; here they are one batch, the negative half first.
        pipelineCase.CheckRun(
            pipeline,
            pipeline.Transformer,
            request,
            inputs =>
            {
                var hidden = Halves(inputs.HiddenStates, guidance)[^1];
                comparison.Check("out.denoiser.hidden_states", hidden);
                comparison.Check("out.denoiser.encoder_hidden_states", Halves(inputs.EncoderHiddenStates, guidance)[^1]);
                comparison.Check("out.denoiser.pooled_projections", Halves(inputs.PooledProjections, guidance)[^1]);
                comparison.Check("out.denoiser.timestep", inputs.Timestep.expand(hidden.shape[0]));
                Assert.True(positions.equal(inputs.Rotary.Turns).all().item<bool>());
                if (inputs.Guidance is not null)
                {
                    comparison.Check("out.denoiser.guidance", inputs.Guidance.expand(hidden.shape[0]));
                }
            },
            answer => Halves(answer, guidance).Reverse());
    }

    /// <summary>A case names its folders, and the components that come from each where there are two:
    /// <c>A (transformer, scheduler) + B (the rest)</c>.</summary>
    private static string[] Folders(ReferenceCase reference) =>
        [.. reference.Model.Split(" + ").Select(part => part.Split(" (")[0])];

    /// <summary>Loads a case's model. diffusers takes longer sequences than the tokenizer names; the copy names no length.</summary>
    private static FluxPipeline Load(ReferenceCase reference, ModelCopy copy)
    {
        copy.Remove("tokenizer_2/tokenizer_config.json", "model_max_length");
        var (folders, own) = (Folders(reference), ModelFolder.Open(copy.Path));
        return new FluxPipeline(new LoadJob(own, new PipelineOptions { Device = "cpu" })
        {
            Denoiser = folders.Length == 1 ? own : ModelFolder.Open(reference.PathOf(folders[0])),
        });
    }

    private static Tensor[] Halves(Tensor rows, bool guidance) => rows.chunk(guidance ? 2 : 1, 0);

    private static Tensor Ids(PromptTokenizer tokenizer, IReadOnlyList<string> prompts, int? length) =>
        tokenizer.Ids(prompts, prompts.Count, CPU, length);
}
