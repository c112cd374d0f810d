using System.Collections.Immutable;
using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Tokenizers;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Kandinsky 3's text encoder (diffusers' <c>Kandinsky3Pipeline.encode_prompt</c>).</summary>
internal sealed class Kandinsky3Prompts(PromptTokenizer tokenizer, T5EncoderModel encoder)
{
    /// <summary>Tokens of a prompt in diffusers' pipeline.</summary>
    private const int MaxLength = 128;

    /// <summary>Gets the tokens of a prompt: not more than the tokenizer says that the model takes.</summary>
    public int Length { get; } = Math.Min(MaxLength, tokenizer.ModelMaxLength);

    public TokenEncoding Tokenize(string prompt, CancellationToken cancellationToken = default) =>
        tokenizer.EncodePadded(prompt, Length, cancellationToken);

    /// <summary>Encodes the prompts of a request. A prompt has one token more than it needs, or as many as the longest where
    /// <see cref="Kandinsky3Request.CutsToLongestPrompt"/> says so, and its negative prompt is cut to the same length. Without negative
    /// prompts their half is zero and so is its mask.</summary>
    /// <returns>A row for each image, with guidance the negative ones first.</returns>
    public Kandinsky3Embeddings Encode(GenerationRequest request, bool guidance, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var prompts = request.Prompts.Select(prompt => Tokenize(prompt, cancellationToken)).ToList();
        var lengths = prompts.Select(prompt => Math.Min(prompt.AttentionMask.Sum() + 1, Length)).ToList();
        var cuts = request is Kandinsky3Request { CutsToLongestPrompt: true };
        var batch = new Batch([.. cuts ? lengths.Select(_ => lengths.Max()) : lengths], request.ImagesPerPrompt, PairsMasks: !cuts);
        var (text, mask) = Encode(prompts, batch, cancellationToken);
        if (guidance)
        {
            var negatives = request.NegativePrompts is [var one] ? Enumerable.Repeat(one, prompts.Count) : request.NegativePrompts;
            var (negative, negativeMask) = negatives is null
                ? (zeros_like(text), zeros_like(mask))
                : Encode([.. negatives.Select(prompt => Tokenize(prompt, cancellationToken))], batch, cancellationToken);
            text = cat([negative, text], dim: 0);
            mask = cat([negativeMask, mask], dim: 0);
        }

        var ofRows = batch.Lengths.All(length => length == batch.Longest)
            ? null
            : tensor(batch.Lengths, device: text.device).repeat_interleave(batch.ImagesPerPrompt).repeat(guidance ? 2 : 1);
        return new Kandinsky3Embeddings(text.MoveToOuterDisposeScope(), mask.MoveToOuterDisposeScope(), ofRows?.MoveToOuterDisposeScope());
    }

    private (Tensor Text, Tensor Mask) Encode(IReadOnlyList<TokenEncoding> prompts, Batch batch, CancellationToken cancellationToken)
    {
        var mask = Rows(prompts.Select(prompt => prompt.AttentionMask));
        var states = encoder.call(Rows(prompts.Select(prompt => prompt.Ids)), mask, cancellationToken);
        var positions = Arithmetic.Arange(0, batch.Longest, device: mask.device);
        var inside = positions.unsqueeze(0) < tensor(batch.Lengths, device: mask.device).unsqueeze(1);
        mask = mask.narrow(1, 0, batch.Longest) * inside;
        var text = states.narrow(1, 0, batch.Longest) * mask.unsqueeze(2);

        // diffusers repeats each text but the masks as a whole, so that with several prompts they do not belong together.
        return (
            text.repeat_interleave(batch.ImagesPerPrompt, dim: 0),
            batch.PairsMasks ? mask.repeat_interleave(batch.ImagesPerPrompt, dim: 0) : mask.repeat(batch.ImagesPerPrompt, 1));
    }

    private Tensor Rows(IEnumerable<ImmutableArray<long>> rows) =>
        tensor([.. rows.SelectMany(row => row)], dtype: int64, device: encoder.parameters().First().device).view(-1, Length);

    /// <summary>How the prompts of a request become a batch.</summary>
    /// <param name="Lengths">The tokens of each prompt.</param>
    /// <param name="ImagesPerPrompt">The images of each prompt.</param>
    /// <param name="PairsMasks">Whether each image has its own prompt's mask.</param>
    private sealed record Batch(long[] Lengths, int ImagesPerPrompt, bool PairsMasks)
    {
        public long Longest { get; } = Lengths.Max();
    }
}
