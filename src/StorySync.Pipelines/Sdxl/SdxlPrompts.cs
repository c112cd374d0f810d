using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Tokenizers;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>SDXL's two text encoders (diffusers' <c>StableDiffusionXLPipeline.encode_prompt</c>).</summary>
internal sealed class SdxlPrompts(
    TextualInversions inversions, CLIPTextModel encoder, CLIPTextModelWithProjection encoder2, bool zerosForNoNegative)
{
    /// <summary>Encodes the prompts of a request.</summary>
    /// <returns>Text, (rows, tokens, width), pooled text, (rows, width), and 1 for each token that counts, (rows, tokens), null where all
    /// do; one row per image, with guidance the negative ones first.</returns>
    public (Tensor Text, Tensor Pooled, Tensor? Mask) Encode(GenerationRequest request, bool guidance, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var positive = Positive(request, cancellationToken);
        var negative = guidance ? Negative(request, cancellationToken) : null;
        var chunks = positive.Select((prompt, i) => Math.Max(prompt.Chunks, negative?[i].Chunks ?? 0)).ToArray();
        var (text, pooled) = Encode(positive, chunks, request.Own<StableDiffusionXLRequest>().ClipSkip ?? 0, cancellationToken);
        if (guidance)
        {
            var (negativeText, negativePooled) =
                negative is null ? (zeros_like(text), zeros_like(pooled)) : Encode(negative, chunks, 0, cancellationToken);
            text = cat([negativeText, text], dim: 0);
            pooled = cat([negativePooled, pooled], dim: 0);
        }

        return (ForImages(text), ForImages(pooled), Mask(chunks, text) is { } mask
            ? ForImages(guidance ? mask.repeat(2, 1) : mask) : null);

        Tensor ForImages(Tensor rows) => rows.repeat_interleave(request.ImagesPerPrompt, dim: 0).MoveToOuterDisposeScope();
    }

    private (Tensor Text, Tensor Pooled) Encode(
        IReadOnlyList<ReadPrompt> prompts, int[] chunks, int skip, CancellationToken cancellationToken)
    {
        var device = encoder.parameters().First().device;
        var chunks1 = Filled(prompts.Select(prompt => prompt.First), chunks);
        var chunks2 = Filled(prompts.Select(prompt => prompt.Second), chunks);
        var first = encoder.call(Ids(chunks1, device), cancellationToken);
        var second = encoder2.call(Ids(chunks2, device), cancellationToken);
        var text = cat(
            [Weighted(first.HiddenStates[^(skip + 2)], chunks1), Weighted(second.HiddenStates[^(skip + 2)], chunks2)], dim: -1);
        var (starts, next) = (new long[chunks.Length], 0);
        for (var i = 0; i < chunks.Length; next += chunks[i++])
        {
            starts[i] = next;
        }

        return (Joined(text, chunks), second.TextEmbeds!.index_select(0, tensor(starts, device: device)));
    }

    private IReadOnlyList<ReadPrompt> Positive(GenerationRequest request, CancellationToken cancellationToken) =>
        Read(request, request.Prompts, request.Own<StableDiffusionXLRequest>().Prompts2, cancellationToken);

    /// <summary>The negative prompts; null where zeros stand for none.</summary>
    private IReadOnlyList<ReadPrompt>? Negative(GenerationRequest request, CancellationToken cancellationToken) =>
        request.Own<StableDiffusionXLRequest>().NegativePrompts2 is var second && request.NegativePrompts is null && second is null
            && zerosForNoNegative ? null : Read(request, request.NegativePrompts ?? [""], second, cancellationToken);

    private IReadOnlyList<ReadPrompt> Read(
        GenerationRequest request, IReadOnlyList<string> prompts, IReadOnlyList<string>? prompts2, CancellationToken cancellationToken)
    {
        return [.. request.Prompts.Select((_, i) => new ReadPrompt(
            Read(inversions.Tokenizers.First, request, Of(prompts, i), cancellationToken),
            Read(inversions.Tokenizers.Second, request, Of(prompts2 ?? prompts, i), cancellationToken)))];

        static string Of(IReadOnlyList<string> texts, int row) => texts.Count == 1 ? texts[0] : texts[row];
    }

    /// <summary>Returns how many chunks the longest prompt of a request has.</summary>
    public int Chunks(GenerationRequest request, bool guidance) =>
        request.Own<StableDiffusionXLRequest>().PromptSyntax == PromptSyntax.Plain
            ? 1 : Positive(request, default).Concat(guidance ? Negative(request, default) ?? [] : []).Max(prompt => prompt.Chunks);

    /// <summary>Returns a prompt as the first encoder reads it.</summary>
    public TokenEncoding Tokenize(GenerationRequest request, string prompt) =>
        Read(inversions.Tokenizers.First, request, prompt, default).Encoding;

    private static PromptChunk[] Filled(IEnumerable<ChunkedPrompt> prompts, int[] chunks) =>
        [.. prompts.Zip(chunks, (prompt, count) => prompt.Filled(count)).SelectMany(chunk => chunk)];

    private static ChunkedPrompt Read(
        PromptTokenizer tokenizer, GenerationRequest request, string prompt, CancellationToken cancellationToken) =>
        request.Own<StableDiffusionXLRequest>().PromptSyntax switch
        {
            PromptSyntax.Plain => tokenizer.EncodeChunk(prompt, cancellationToken),
            PromptSyntax.Weighted => tokenizer.EncodeChunks(PromptMarkup.Parse(prompt), cancellationToken),
            _ => tokenizer.EncodeChunks([new PromptSegment(prompt, 1, BeginsChunk: false)], cancellationToken),
        };

    private static Tensor? Mask(int[] chunks, Tensor text)
    {
        var (longest, device) = (chunks.Max(), text.device);
        return chunks.All(count => count == longest)
            ? null
            : (Arithmetic.Arange(0, longest, device: device).unsqueeze(0) < tensor(chunks, int64, device).unsqueeze(1)).to(int64)
                .repeat_interleave(text.shape[1] / longest, dim: 1);
    }

    private static Tensor Ids(PromptChunk[] chunks, Device device) =>
        tensor([.. chunks.SelectMany(chunk => chunk.Ids)], [chunks.Length, chunks[0].Ids.Count], dtype: int64, device: device);

    /// <summary>The words of the chunks, with their weights.</summary>
    private static Tensor Weighted(Tensor states, PromptChunk[] chunks)
    {
        if (chunks.All(chunk => chunk.Weights.All(weight => weight == 1)))
        {
            return states;
        }

        var weights = tensor([.. chunks.SelectMany(chunk => chunk.Weights)], [states.shape[0], states.shape[1], 1], device: states.device);
        var rows = Arithmetic.Arange(0, states.shape[0], device: states.device);
        var neutral = states[rows, tensor([.. chunks.Select(chunk => (long)chunk.End)], device: states.device)].unsqueeze(1);
        return where(weights.EqualTo(1), states, neutral.PlusProduct(states.Plus(neutral.neg()), weights.to(states.dtype)));
    }

    /// <summary>The chunks of each prompt one after the other, and zeros up to the longest.</summary>
    private static Tensor Joined(Tensor states, int[] chunks)
    {
        var (longest, at) = (chunks.Max(), 0L);
        var rows = new List<Tensor>();
        foreach (var count in chunks)
        {
            var own = states.narrow(0, at, count).reshape(1, -1, states.shape[2]);
            rows.Add(nn.functional.pad(own, [0, 0, 0, (longest - count) * states.shape[1]]));
            at += count;
        }

        return cat(rows, dim: 0);
    }

    /// <summary>A prompt as both encoders read it.</summary>
    private sealed record ReadPrompt(ChunkedPrompt First, ChunkedPrompt Second)
    {
        public int Chunks { get; } = Math.Max(First.Chunks.Count, Second.Chunks.Count);
    }
}
