using StorySync.Diffusion.Layers;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>The text tower, which every CLIP model holds as <c>text_model</c> (transformers' <c>CLIPTextModel</c>).</summary>
internal sealed class CLIPTextTransformer : nn.Module<Tensor, CancellationToken, CLIPTextOutput>
{
    private readonly CLIPTextEmbeddings embeddings;
    private readonly CLIPEncoder encoder;
    private readonly LayerNorm final_layer_norm;
    private readonly long eosTokenId;

    public CLIPTextTransformer(CLIPTextConfig config)
        : base(nameof(CLIPTextTransformer))
    {
        config.Validate();
        embeddings = new CLIPTextEmbeddings(config);
        encoder = new CLIPEncoder(config, causal: true);
        final_layer_norm = new LayerNorm(config.HiddenSize, config.LayerNormEps);
        eosTokenId = config.EosTokenId;
        RegisterComponents();
    }

    /// <summary>Returns the elements that the tensors of a pass take together at its end, because the output of every layer is
    /// kept.</summary>
    public static long PeakElements(CLIPTextConfig config, long rows, long tokens) =>
        rows * tokens * ((config.NumHiddenLayers * config.HiddenSize) + (4 * config.HiddenSize) + (2 * config.IntermediateSize));

    /// <summary>Sets the vectors of tokens that come after those of the table, (tokens, hidden size); null for none.</summary>
    public void SetAddedTokens(Tensor? vectors) => embeddings.Added = vectors;

    public override CLIPTextOutput forward(Tensor inputIds, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        var embedded = embeddings.call(inputIds);
        Tensor[] states = [embedded, .. encoder.Run(embedded, cancellationToken)];
        var last = final_layer_norm.call(states[^1]);
        var rows = Arithmetic.Arange(0, inputIds.shape[0], device: last.device);
        var output = new CLIPTextOutput(states, last, last[rows, PooledPositions(inputIds)]);
        scope.MoveToOuter([.. states, output.LastHiddenState, output.PoolerOutput]);
        return output;
    }

    /// <summary>Configs before 2023 say 2 where the real end token has the largest id of the vocabulary; for them, as transformers
    /// does, the largest id marks the end; tokens that were added, whose ids are larger, do not.</summary>
    private Tensor PooledPositions(Tensor inputIds)
    {
        if (eosTokenId != CLIPTextConfig.LargestId)
        {
            return inputIds.EqualTo(eosTokenId).to(int32).argmax(-1);
        }

        var own = embeddings.Added is null ? inputIds : inputIds * inputIds.LessThan(embeddings.Count).to(int64);
        return own.argmax(-1);
    }
}

/// <summary>The sum of what a token is and where it stands (transformers' <c>CLIPTextEmbeddings</c>).</summary>
internal sealed class CLIPTextEmbeddings : ScopedModule<Tensor, Tensor>
{
    private readonly Embedding token_embedding;
    private readonly Embedding position_embedding;

    public CLIPTextEmbeddings(CLIPTextConfig config)
        : base(nameof(CLIPTextEmbeddings))
    {
        token_embedding = new Embedding(config.VocabSize, config.HiddenSize);
        position_embedding = new Embedding(config.MaxPositionEmbeddings, config.HiddenSize);
        RegisterComponents();
    }

    /// <summary>Gets the number of tokens of the table.</summary>
    public long Count => token_embedding.weight.shape[0];

    /// <summary>Gets or sets the vectors of tokens that come after those of the table, (tokens, width); null for none.</summary>
    public Tensor? Added { get; set; }

    protected override Tensor Compute(Tensor inputIds)
    {
        TokenIds.Check(inputIds, Count + (Added?.shape[0] ?? 0), position_embedding.weight.shape[0]);
        var positions = position_embedding.weight.narrow(0, 0, inputIds.shape[1]);
        var tokens = token_embedding.call(Added is null ? inputIds : inputIds.ClampMax(Count - 1)).to(positions.dtype);
        if (Added is { } added)
        {
            var places = inputIds.GreaterOrEqual(Count);
            var rows = inputIds.flatten().Minus(Count).Clamp(0, added.shape[0] - 1);
            var vectors = added.to(positions.dtype, inputIds.device).index_select(0, rows);
            tokens = where(places.unsqueeze(-1), vectors.view(tokens.shape), tokens);
        }

        return tokens.Plus_(positions);
    }
}
