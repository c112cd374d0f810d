using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

public class Kandinsky3PipelineParityTests
{
    public static TheoryData<string> Cases() => ReferenceData.CaseNames(
        c => c.Group == "pipeline" && c.Call.StartsWith("diffusers.Kandinsky3", StringComparison.Ordinal));

    [Theory]
    [MemberData(nameof(Cases))]
    public void Pipeline_is_that_of_diffusers(string name)
    {
        using var mode = inference_mode();
        using var comparison = new Comparison(ReferenceData.Case(name));
        var pipelineCase = new PipelineCase(comparison);
        using var pipeline = Kandinsky3Pipeline.Load(comparison.Case.ModelPath, new PipelineOptions { Device = "cpu" });

        var request = pipelineCase.Fill(new Kandinsky3Request { Prompts = pipelineCase.Strings("prompt")!, CutsToLongestPrompt = true });

        CheckTokens(comparison, "", pipeline, request.Prompts);
        CheckTokens(comparison, "negative_", pipeline, request.NegativePrompts);
        CheckEmbeddings(comparison, pipeline, request);
        pipelineCase.CheckRun(pipeline, pipeline.UNet, request, inputs =>
        {
            comparison.Check("out.denoiser.sample", inputs.Sample);
            comparison.Check("out.denoiser.timestep", inputs.Timestep);
            comparison.Check("out.denoiser.encoder_hidden_states", inputs.EncoderHiddenStates);
            comparison.Check("out.denoiser.encoder_attention_mask", inputs.EncoderAttentionMask!);
        });
    }

    private static void CheckTokens(Comparison comparison, string prefix, Kandinsky3Pipeline pipeline, IReadOnlyList<string>? prompts)
    {
        if (prompts is not null)
        {
            var encodings = prompts.Select(prompt => pipeline.Tokenize(new(), prompt)).ToList();
            comparison.Check($"out.{prefix}input_ids", Rows([.. encodings.Select(e => e.Ids)]));
            comparison.Check($"out.{prefix}input_mask", Rows([.. encodings.Select(e => e.AttentionMask)]));
        }
    }

    private static Tensor Rows(IReadOnlyList<IReadOnlyList<long>> rows) =>
        tensor([.. rows.SelectMany(r => r)], [rows.Count, rows[0].Count], dtype: int64);

    private static void CheckEmbeddings(Comparison comparison, Kandinsky3Pipeline pipeline, GenerationRequest request)
    {
        var guidance = request.GuidanceScale > 1;
        var embeddings = (Kandinsky3Embeddings)pipeline.Encode(request, request.Height ?? 0, request.Width ?? 0, guidance, default);
        var (text, mask) = (embeddings.Text, embeddings.Mask);
        if (guidance)
        {
            comparison.Check("out.negative_prompt_embeds", text.chunk(2, 0)[0]);
            comparison.Check("out.negative_attention_mask", mask.chunk(2, 0)[0]);
            (text, mask) = (text.chunk(2, 0)[1], mask.chunk(2, 0)[1]);
        }

        comparison.Check("out.prompt_embeds", text);
        comparison.Check("out.attention_mask", mask);
    }
}
