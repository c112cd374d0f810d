using System.Collections.Immutable;
using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Kandinsky 3's text encoder (diffusers' <c>Kandinsky3Pipeline.encode_prompt</c>).</summary>
internal sealed class Kandinsky3Prompts(PromptTokenizer tokenizer, T5EncoderModel encoder)
{
    /// <summary>Tokens of a prompt.</summary>
    public const int MaxLength = 128;

    public TokenEncoding Tokenize(string prompt, CancellationToken cancellationToken = default) =>
        tokenizer.EncodePadded(prompt, MaxLength, cancellationToken);

    /// <summary>Encodes the prompts of a request, cut to one token more than the longest one has; the negative ones to the same length.
    /// Without negative prompts their half is zero and so is its mask.</summary>
    /// <returns>A row a picture, with guidance the negative ones first.</returns>
    public Kandinsky3Embeddings Encode(GenerationRequest request, bool guidance, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var prompts = request.Prompts.Select(prompt => Tokenize(prompt, cancellationToken)).ToList();
        var length = Math.Min(prompts.Max(prompt => prompt.AttentionMask.Sum()) + 1, MaxLength);
        var (text, mask) = Encode(prompts, length, request.ImagesPerPrompt, cancellationToken);
        if (guidance)
        {
            var negatives = request.NegativePrompts is [var one] ? Enumerable.Repeat(one, prompts.Count) : request.NegativePrompts;
            var (negative, negativeMask) = negatives is null
                ? (zeros_like(text), zeros_like(mask))
                : Encode([.. negatives.Select(prompt => Tokenize(prompt, cancellationToken))], length, request.ImagesPerPrompt, cancellationToken);
            text = cat([negative, text], dim: 0);
            mask = cat([negativeMask, mask], dim: 0);
        }

        return new Kandinsky3Embeddings(text.MoveToOuterDisposeScope(), mask.MoveToOuterDisposeScope());
    }

    private (Tensor Text, Tensor Mask) Encode(
        IReadOnlyList<TokenEncoding> prompts, long length, int imagesPerPrompt, CancellationToken cancellationToken)
    {
        var mask = Rows(prompts.Select(prompt => prompt.AttentionMask));
        var states = encoder.call(Rows(prompts.Select(prompt => prompt.Ids)), mask, cancellationToken);
        mask = mask.narrow(1, 0, length);
        var text = states.narrow(1, 0, length) * mask.unsqueeze(2);

        // diffusers repeats each text but the masks as a whole, so that with several prompts they do not belong together; the pictures
        // are to be the same.
        return (text.repeat_interleave(imagesPerPrompt, dim: 0), mask.repeat(imagesPerPrompt, 1));
    }

    private Tensor Rows(IEnumerable<ImmutableArray<long>> rows) =>
        tensor([.. rows.SelectMany(row => row)], dtype: int64, device: encoder.parameters().First().device).view(-1, MaxLength);
}
