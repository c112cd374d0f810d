using StorySync.Diffusion.Schedulers;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

public class SdxlPipelineParityTests
{
    public static TheoryData<string> Cases() =>
        ReferenceData.CaseNames(c => c.Group == "pipeline" && c.Call.StartsWith("diffusers.StableDiffusionXL", StringComparison.Ordinal));

    [Theory]
    [MemberData(nameof(Cases))]
    public void Pipeline_is_that_of_diffusers(string name)
    {
        using var mode = inference_mode();
        using var comparison = new Comparison(ReferenceData.Case(name));
        var pipelineCase = new PipelineCase(comparison);
        using var pipeline = StableDiffusionXLPipeline.Load(comparison.Case.ModelPath, new PipelineOptions { Device = "cpu" });
        pipeline.Scheduler =
            Scheduler.FromConfig(pipelineCase.Find("scheduler_config")!.Value, pipelineCase.Find("scheduler")!.Value.GetString());

        var request = pipelineCase.Fill(new StableDiffusionXLRequest { Prompts = pipelineCase.Strings("prompt")! }) with
        {
            Prompts2 = pipelineCase.Strings("prompt_2"),
            NegativePrompts2 = pipelineCase.Strings("negative_prompt_2"),
            GuidanceRescale = pipelineCase.Double("guidance_rescale") ?? 0,
            ClipSkip = pipelineCase.Int("clip_skip"),
            OriginalSize = pipelineCase.Pair("original_size"),
            CropsCoordsTopLeft = pipelineCase.Pair("crops_coords_top_left") ?? (0, 0),
            TargetSize = pipelineCase.Pair("target_size"),
            NegativeOriginalSize = pipelineCase.Pair("negative_original_size"),
            NegativeCropsCoordsTopLeft = pipelineCase.Pair("negative_crops_coords_top_left") ?? (0, 0),
            NegativeTargetSize = pipelineCase.Pair("negative_target_size"),
        };

        CheckTokens(comparison, "", pipeline, request.Prompts, request.Prompts2);
        CheckTokens(comparison, "negative_", pipeline, request.NegativePrompts, request.NegativePrompts2);
        CheckEmbeddings(comparison, pipeline, request);
        pipelineCase.CheckRun(pipeline, pipeline.UNet, request, inputs =>
        {
            comparison.Check("out.denoiser.sample", inputs.Sample);
            comparison.Check("out.denoiser.timestep", inputs.Timestep);
            comparison.Check("out.denoiser.encoder_hidden_states", inputs.EncoderHiddenStates);
            comparison.Check("out.denoiser.added_cond_kwargs.text_embeds", inputs.TextEmbeds!);
            comparison.Check("out.denoiser.added_cond_kwargs.time_ids", inputs.TimeIds!);
        });
    }

    private static void CheckTokens(
        Comparison comparison, string prefix, StableDiffusionXLPipeline pipeline, IReadOnlyList<string>? prompts,
            IReadOnlyList<string>? prompts2)
    {
        if (prompts is not null)
        {
            comparison.Check($"out.{prefix}input_ids", pipeline.Tokenizer.Ids(prompts, prompts.Count, CPU));
            comparison.Check($"out.{prefix}input_ids_2", pipeline.Tokenizer2.Ids(prompts2 ?? prompts, prompts.Count, CPU));
        }
    }

    private static void CheckEmbeddings(Comparison comparison, StableDiffusionXLPipeline pipeline, StableDiffusionXLRequest request)
    {
        var guidance = request.GuidanceScale > 1;
        var embeddings = (SdxlEmbeddings)pipeline.Encode(request, request.Height!.Value, request.Width!.Value, guidance, default);
        var (text, pooled) = (embeddings.Text, embeddings.Pooled);
        if (guidance)
        {
            comparison.Check("out.negative_prompt_embeds", text.chunk(2, 0)[0]);
            comparison.Check("out.negative_pooled_prompt_embeds", pooled.chunk(2, 0)[0]);
            (text, pooled) = (text.chunk(2, 0)[1], pooled.chunk(2, 0)[1]);
        }

        comparison.Check("out.prompt_embeds", text);
        comparison.Check("out.pooled_prompt_embeds", pooled);
    }
}
