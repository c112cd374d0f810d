using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>SDXL's two text encoders (diffusers' <c>StableDiffusionXLPipeline.encode_prompt</c>).</summary>
internal sealed class SdxlPrompts(
    PromptTokenizer tokenizer, PromptTokenizer tokenizer2, CLIPTextModel encoder, CLIPTextModelWithProjection encoder2,
        bool zerosForNoNegative)
{
    /// <summary>Encodes the prompts of a request.</summary>
    /// <returns>Text, (rows, tokens, width), and pooled text, (rows, width); one row per image, with guidance the negative ones
    /// first.</returns>
    public (Tensor Text, Tensor Pooled) Encode(GenerationRequest request, bool guidance, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var own = request.Own<StableDiffusionXLRequest>();
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
        IReadOnlyList<string> prompts, IReadOnlyList<string>? prompts2, GenerationRequest request, int skip,
            CancellationToken cancellationToken)
    {
        var (count, device) = (request.Prompts.Count, encoder.parameters().First().device);
        var first = encoder.call(tokenizer.Ids(prompts, count, device, cancellationToken: cancellationToken), cancellationToken);
        var second =
            encoder2.call(tokenizer2.Ids(prompts2 ?? prompts, count, device, cancellationToken: cancellationToken), cancellationToken);
        var text = cat([first.HiddenStates[^(skip + 2)], second.HiddenStates[^(skip + 2)]], dim: -1);
        return (text.repeat_interleave(request.ImagesPerPrompt, dim: 0),
            second.TextEmbeds!.repeat_interleave(request.ImagesPerPrompt, dim: 0));
    }
}
