using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>FLUX's two text encoders (diffusers' <c>FluxPipeline.encode_prompt</c>): CLIP for the pooled text, T5 for the tokens. T5 gets
/// no mask: padding is read too.</summary>
internal sealed class FluxPrompts(PromptTokenizer tokenizer, PromptTokenizer tokenizer2, CLIPTextModel encoder, T5EncoderModel encoder2)
{
    /// <summary>Encodes the prompts of a request.</summary>
    /// <param name="request">The request.</param>
    /// <param name="length">Tokens of T5.</param>
    /// <param name="negatives">What guidance leads away from: one prompt for all or one each; null without guidance.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    /// <returns>Text, (rows, <paramref name="length"/>, width), and pooled text, (rows, width); one row per image, with guidance the
    /// negative ones first.</returns>
    public (Tensor Text, Tensor Pooled) Encode(
        GenerationRequest request, int length, IReadOnlyList<string>? negatives, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var own = request.Own<FluxRequest>();
        var (text, pooled) = Encode(request.Prompts, own.Prompts2);
        if (negatives is not null)
        {
            var (negative, negativePooled) = Encode(negatives, own.NegativePrompts2);
            text = cat([negative, text], dim: 0);
            pooled = cat([negativePooled, pooled], dim: 0);
        }

        return (text.MoveToOuterDisposeScope(), pooled.MoveToOuterDisposeScope());

        (Tensor, Tensor) Encode(IReadOnlyList<string> prompts, IReadOnlyList<string>? prompts2)
        {
            var (count, device) = (request.Prompts.Count, encoder.parameters().First().device);
            var clip = encoder.call(tokenizer.Ids(prompts, count, device, cancellationToken: cancellationToken), cancellationToken);
            var t5 = encoder2.call(tokenizer2.Ids(prompts2 ?? prompts, count, device, length, cancellationToken), null, cancellationToken);
            return (t5.repeat_interleave(request.ImagesPerPrompt, dim: 0),
                clip.PoolerOutput.repeat_interleave(request.ImagesPerPrompt, dim: 0));
        }
    }
}
