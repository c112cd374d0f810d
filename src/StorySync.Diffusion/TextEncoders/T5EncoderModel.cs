using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>Represents the encoder of T5: the second text encoder of FLUX, the only one of Kandinsky 3 (transformers'
/// <c>T5EncoderModel</c>).</summary>
/// <remarks>In float16 the feed-forward layers' last projections stay in float32, as in transformers: their sums overflow.</remarks>
public sealed class T5EncoderModel : nn.Module<Tensor, Tensor?, CancellationToken, Tensor>
{
    private const string TokenTable = "shared.weight";

    private readonly RunGate runs = new(typeof(T5EncoderModel));
    private readonly Embedding shared;
    private readonly T5Stack encoder;

    /// <summary>Initializes a new instance of the <see cref="T5EncoderModel"/> class without weights: its parameters have shapes and take
    /// no memory.</summary>
    /// <param name="config">Its configuration.</param>
    /// <exception cref="NotSupportedException">The configuration names an unknown activation.</exception>
    public T5EncoderModel(T5Config config)
        : base(nameof(T5EncoderModel))
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        Config = config;
        shared = new Embedding(config.VocabSize, config.DModel);
        encoder = new T5Stack(config);
        RegisterComponents();
    }

    /// <summary>Gets the model's configuration.</summary>
    public T5Config Config { get; }

    /// <summary>Loads the model from a folder in diffusers' layout. Decoder weights, if present, are ignored.</summary>
    /// <param name="folder">The model.</param>
    /// <param name="component">The component's folder in it: <c>text_encoder_2</c> for FLUX, <c>text_encoder</c> for Kandinsky 3.</param>
    /// <param name="dtype">The type to compute in; float32 by default.</param>
    /// <param name="device">Where to compute; the CPU by default.</param>
    /// <param name="variant">The variant of the files to prefer, such as <c>fp16</c>.</param>
    /// <exception cref="ModelFileException">A file is missing or broken.</exception>
    /// <exception cref="WeightMismatchException">The weights are not those of the configuration.</exception>
    public static T5EncoderModel Load(
        ModelFolder folder, string component, ScalarType dtype = ScalarType.Float32, Device? device = null, string? variant = null) =>
        folder.Load(component, (T5Config config) => new T5EncoderModel(config), variant, (model, weights) =>
            WeightBinder.Bind(model, weights, name => TypeOf(name, dtype), device, NameOf));

    /// <summary>Encodes texts.</summary>
    /// <param name="inputIds">Token ids, int64, (batch, tokens).</param>
    /// <param name="attentionMask">1 for each token that counts, 0 for the others, (batch, tokens); null when all do.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each block.</param>
    /// <returns>The last hidden state, (batch, tokens, d_model).</returns>
    /// <exception cref="ArgumentException">The ids or the mask do not have the expected shape or type, or an id is not in the
    /// vocabulary.</exception>
    /// <exception cref="OperationCanceledException">The run was canceled.</exception>
    public override Tensor forward(Tensor inputIds, Tensor? attentionMask = null, CancellationToken cancellationToken = default)
    {
        using var run = runs.Enter(cancellationToken);
        TokenIds.Check(inputIds, Config.VocabSize);
        if (attentionMask is not null && !attentionMask.shape.SequenceEqual(inputIds.shape))
        {
            throw new ArgumentException($"The attention mask has the shape ({string.Join(", ", attentionMask.shape)}); "
                + $"it must have that of the token ids, ({string.Join(", ", inputIds.shape)}).");
        }

        return Scoped(() => encoder.call(shared.call(inputIds).to(encoder.Dtype), attentionMask, cancellationToken));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => runs.Release(disposing, () => base.Dispose(disposing));

    /// <summary>The token table stays as it is stored: only the rows that a text needs are converted.</summary>
    private static ScalarType? TypeOf(string name, ScalarType dtype) => name switch
    {
        TokenTable => null,
        _ when dtype == ScalarType.Float16 && name.EndsWith(".wo.weight", StringComparison.Ordinal) => ScalarType.Float32,
        _ => dtype,
    };

    private static string? NameOf(string name) => name switch
    {
        "encoder.embed_tokens.weight" => TokenTable,
        "lm_head.weight" => null,
        _ when name.StartsWith("decoder.", StringComparison.Ordinal) => null,
        _ => name,
    };
}
