using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>Represents CLIP's text encoder with a projection of the pooled output: the second of SDXL (transformers'
/// <c>CLIPTextModelWithProjection</c>).</summary>
public sealed class CLIPTextModelWithProjection : nn.Module<Tensor, CancellationToken, CLIPTextOutput>
{
    private readonly RunGate runs = new(typeof(CLIPTextModelWithProjection));
    private readonly CLIPTextTransformer text_model;
    private readonly Linear text_projection;

    /// <summary>Initializes a new instance of the <see cref="CLIPTextModelWithProjection"/> class without weights: its parameters have
    /// shapes and take no memory.</summary>
    /// <param name="config">Its configuration.</param>
    /// <exception cref="ArgumentException">The configuration contradicts itself.</exception>
    /// <exception cref="NotSupportedException">The configuration names an unknown activation.</exception>
    public CLIPTextModelWithProjection(CLIPTextConfig config)
        : base(nameof(CLIPTextModelWithProjection))
    {
        ArgumentNullException.ThrowIfNull(config);
        Config = config;
        text_model = new CLIPTextTransformer(config);
        text_projection = new Linear(config.HiddenSize, config.ProjectionDim, bias: false);
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
    public static CLIPTextModelWithProjection Load(
        ModelFolder folder, string component = "text_encoder_2", ScalarType dtype = ScalarType.Float32, Device? device = null,
            string? variant = null) =>
        folder.Load(component, (CLIPTextConfig config) => new CLIPTextModelWithProjection(config), variant, (model, weights) =>
            CLIPCheckpoint.Bind(model, weights, dtype, device));

    /// <summary>Sets the vectors of tokens that come after those of the vocabulary, (tokens, hidden size); null for none.</summary>
    internal void SetAddedTokens(Tensor? vectors) => text_model.SetAddedTokens(vectors);

    /// <summary>Encodes texts.</summary>
    /// <param name="inputIds">Token ids, int64, (batch, tokens), at most <see cref="CLIPTextConfig.MaxPositionEmbeddings"/> tokens.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each layer.</param>
    /// <returns>The output, with <see cref="CLIPTextOutput.TextEmbeds"/>.</returns>
    /// <exception cref="ArgumentException">The ids do not have the expected shape or type, or are not all in the vocabulary.</exception>
    /// <exception cref="OperationCanceledException">The run was canceled.</exception>
    public override CLIPTextOutput forward(Tensor inputIds, CancellationToken cancellationToken = default)
    {
        using var run = runs.Enter(cancellationToken);
        var output = text_model.call(inputIds, cancellationToken);
        return output with { TextEmbeds = text_projection.call(output.PoolerOutput) };
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => runs.Release(disposing, () => base.Dispose(disposing));
}
