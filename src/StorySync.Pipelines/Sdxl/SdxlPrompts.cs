using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>SDXL's two text encoders (diffusers' <c>StableDiffusionXLPipeline.encode_prompt</c>).</summary>
internal sealed class SdxlPrompts(
    PromptTokenizer tokenizer, PromptTokenizer tokenizer2, CLIPTextModel encoder, CLIPTextModelWithProjection encoder2, bool zerosForNoNegative)
{
    /// <summary>Encodes the prompts of a request.</summary>
    /// <returns>Text, (rows, tokens, width), and pooled text, (rows, width); a row a picture, with guidance the negative ones first.</returns>
    public (Tensor Text, Tensor Pooled) Encode(GenerationRequest request, bool guidance, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var own = StableDiffusionXLRequest.Of(request);
        var (text, pooled) = Encode(request.Prompts, own.Prompts2, request, own.ClipSkip ?? 0, cancellationToken);
        if (guidance)
        {
            var (negative, negativePooled) = request.NegativePrompts is null && own.NegativePrompts2 is null && zerosForNoNegative
                ? (zeros_like(text), zeros_like(pooled))
                : Encode(request.NegativePrompts ?? [""], own.NegativePrompts2, request, 0, cancellationToken);
            text = cat([negative, text], dim: 0);
            pooled = cat([negativePooled, pooled], dim: 0);
        }

        return (text.MoveToOuterDisposeScope(), pooled.MoveToOuterDisposeScope());
    }

    private (Tensor Text, Tensor Pooled) Encode(
        IReadOnlyList<string> prompts, IReadOnlyList<string>? prompts2, GenerationRequest request, int skip, CancellationToken cancellationToken)
    {
        var count = request.Prompts.Count;
        var first = encoder.call(Ids(tokenizer, prompts, count), cancellationToken);
        var second = encoder2.call(Ids(tokenizer2, prompts2 ?? prompts, count), cancellationToken);
        var text = cat([first.HiddenStates[^(skip + 2)], second.HiddenStates[^(skip + 2)]], dim: -1);
        return (text.repeat_interleave(request.ImagesPerPrompt, dim: 0), second.TextEmbeds!.repeat_interleave(request.ImagesPerPrompt, dim: 0));
    }

    private Tensor Ids(PromptTokenizer tokenizer, IReadOnlyList<string> prompts, int count)
    {
        var rows = Enumerable.Range(0, count).Select(i => tokenizer.EncodePadded(prompts.Count == 1 ? prompts[0] : prompts[i]).Ids).ToArray();
        return tensor([.. rows.SelectMany(row => row)], [count, rows[0].Length], dtype: int64, device: encoder.parameters().First().device);
    }
}
