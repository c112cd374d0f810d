using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>Represents CLIP's text encoder: the first of SDXL and FLUX, the only one of Stable Diffusion (transformers'
/// <c>CLIPTextModel</c>).</summary>
public sealed class CLIPTextModel : nn.Module<Tensor, CancellationToken, CLIPTextOutput>
{
    private readonly RunGate runs = new(typeof(CLIPTextModel));
    private readonly CLIPTextTransformer text_model;

    /// <summary>Initializes a new instance of the <see cref="CLIPTextModel"/> class without weights: its parameters have shapes and take no
    /// memory.</summary>
    /// <param name="config">Its configuration.</param>
    /// <exception cref="ArgumentException">The configuration contradicts itself.</exception>
    /// <exception cref="NotSupportedException">The configuration names an unknown activation.</exception>
    public CLIPTextModel(CLIPTextConfig config)
        : base(nameof(CLIPTextModel))
    {
        ArgumentNullException.ThrowIfNull(config);
        Config = config;
        text_model = new CLIPTextTransformer(config);
        RegisterComponents();
    }

    /// <summary>Gets the model's configuration.</summary>
    public CLIPTextConfig Config { get; }

    /// <summary>Loads the model from a folder in diffusers' layout.</summary>
    /// <param name="folder">The model.</param>
    /// <param name="component">The component's folder in it.</param>
    /// <param name="dtype">The type to compute in; float32 by default.</param>
    /// <param name="device">Where to compute; the CPU by default.</param>
    /// <param name="variant">The variant of the files to prefer, such as <c>fp16</c>.</param>
    /// <exception cref="ModelFileException">A file is missing or broken.</exception>
    /// <exception cref="WeightMismatchException">The weights are not those of the configuration.</exception>
    public static CLIPTextModel Load(
        ModelFolder folder, string component = "text_encoder", ScalarType dtype = ScalarType.Float32, Device? device = null,
            string? variant = null) =>
        folder.Load(component, (CLIPTextConfig config) => new CLIPTextModel(config), variant, (model, weights) =>
            CLIPCheckpoint.Bind(model, weights, dtype, device));

    /// <summary>Sets the vectors of tokens that come after those of the vocabulary, (tokens, hidden size); null for none.</summary>
    internal void SetAddedTokens(Tensor? vectors) => text_model.SetAddedTokens(vectors);

    /// <summary>Encodes texts.</summary>
    /// <param name="inputIds">Token ids, int64, (batch, tokens), at most <see cref="CLIPTextConfig.MaxPositionEmbeddings"/> tokens.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each layer.</param>
    /// <exception cref="ArgumentException">The ids do not have the expected shape or type, or are not all in the vocabulary.</exception>
    /// <exception cref="OperationCanceledException">The run was canceled.</exception>
    public override CLIPTextOutput forward(Tensor inputIds, CancellationToken cancellationToken = default)
    {
        using var run = runs.Enter(cancellationToken);
        return text_model.call(inputIds, cancellationToken);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => runs.Release(disposing, () => base.Dispose(disposing));
}
