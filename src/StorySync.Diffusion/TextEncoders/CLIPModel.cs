using StorySync.Kernels;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>Represents a whole CLIP model, which embeds texts and images as vectors that can be compared (transformers' <c>CLIPModel</c>;
/// arXiv 2103.00020).</summary>
public sealed class CLIPModel : nn.Module<Tensor, Tensor, CancellationToken, CLIPOutput>
{
    private readonly RunGate runs = new(typeof(CLIPModel));
    private readonly CLIPTextTransformer text_model;
    private readonly CLIPVisionTransformer vision_model;
    private readonly Linear visual_projection;
    private readonly Linear text_projection;
    private readonly Parameter logit_scale;

    /// <summary>Initializes a new instance of the <see cref="CLIPModel"/> class without weights: its parameters have shapes and take no
    /// memory.</summary>
    /// <param name="config">Its configuration.</param>
    /// <exception cref="ArgumentException">The configuration contradicts itself.</exception>
    /// <exception cref="NotSupportedException">The configuration names an unknown activation.</exception>
    public CLIPModel(CLIPConfig config)
        : base(nameof(CLIPModel))
    {
        ArgumentNullException.ThrowIfNull(config);
        Config = config;
        text_model = new CLIPTextTransformer(config.TextConfig);
        vision_model = new CLIPVisionTransformer(config.VisionConfig);
        visual_projection = new Linear(config.VisionConfig.HiddenSize, config.ProjectionDim, bias: false);
        text_projection = new Linear(config.TextConfig.HiddenSize, config.ProjectionDim, bias: false);
        logit_scale = Parameters.Declare();
        RegisterComponents();
    }

    /// <summary>Gets the model's configuration.</summary>
    public CLIPConfig Config { get; }

    /// <summary>Loads the model from a folder.</summary>
    /// <param name="folder">The model.</param>
    /// <param name="component">The component's folder in it; empty where the folder itself is CLIP's.</param>
    /// <param name="dtype">The type to compute in; float32 by default.</param>
    /// <param name="device">Where to compute; the CPU by default.</param>
    /// <param name="variant">The variant of the files to prefer, such as <c>fp16</c>.</param>
    /// <exception cref="ModelFileException">A file is missing or broken.</exception>
    /// <exception cref="WeightMismatchException">The weights are not those of the configuration.</exception>
    public static CLIPModel Load(
        ModelFolder folder, string component = "", ScalarType dtype = ScalarType.Float32, Device? device = null, string? variant = null) =>
        folder.Load(component, (CLIPConfig config) => new CLIPModel(config), variant, (model, weights) =>
            CLIPCheckpoint.Bind(model, weights, dtype, device));

    /// <summary>Returns the vectors of texts, (batch, projection_dim), not normalized.</summary>
    /// <param name="inputIds">Token ids, int64, (batch, tokens).</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each layer.</param>
    /// <exception cref="ArgumentException">The ids do not have the expected shape or type, or are not all in the vocabulary.</exception>
    /// <exception cref="OperationCanceledException">The run was canceled.</exception>
    public Tensor GetTextFeatures(Tensor inputIds, CancellationToken cancellationToken = default)
    {
        using var run = runs.Enter(cancellationToken);
        return Scoped(() => text_projection.call(text_model.call(inputIds, cancellationToken).PoolerOutput));
    }

    /// <summary>Returns the vectors of images, (batch, projection_dim), not normalized.</summary>
    /// <param name="pixelValues">What a <see cref="CLIPImageProcessor"/> makes of images, (batch, channels, image_size,
    /// image_size).</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each layer.</param>
    /// <exception cref="ArgumentException">The pixels do not have the expected shape.</exception>
    /// <exception cref="OperationCanceledException">The run was canceled.</exception>
    public Tensor GetImageFeatures(Tensor pixelValues, CancellationToken cancellationToken = default)
    {
        using var run = runs.Enter(cancellationToken);
        return Scoped(() => visual_projection.call(vision_model.call(pixelValues, cancellationToken).Pooled));
    }

    /// <summary>Returns what the image tower makes of each patch: transformers' <c>vision_model(…).last_hidden_state</c> without the class
    /// token, (batch, rows, columns, hidden_size).</summary>
    /// <param name="pixelValues">What a <see cref="CLIPImageProcessor"/> makes of images, (batch, channels, image_size,
    /// image_size).</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each layer.</param>
    /// <exception cref="ArgumentException">The pixels do not have the expected shape.</exception>
    public Tensor GetImagePatches(Tensor pixelValues, CancellationToken cancellationToken = default)
    {
        using var run = runs.Enter(cancellationToken);
        using var scope = NewDisposeScope();
        var side = Config.VisionConfig.ImageSize / Config.VisionConfig.PatchSize;
        var tokens = vision_model.call(pixelValues, cancellationToken).LastHiddenState;
        return tokens.narrow(1, 1, (long)side * side).unflatten(1, side, side).MoveToOuterDisposeScope();
    }

    /// <summary>Compares every image with every text.</summary>
    /// <param name="inputIds">Token ids, int64, (texts, tokens).</param>
    /// <param name="pixelValues">What a <see cref="CLIPImageProcessor"/> makes of images, (images, channels, image_size,
    /// image_size).</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each layer.</param>
    /// <exception cref="ArgumentException">An input does not have the expected shape or type, or an id is not in the
    /// vocabulary.</exception>
    /// <exception cref="OperationCanceledException">The run was canceled.</exception>
    public override CLIPOutput forward(Tensor inputIds, Tensor pixelValues, CancellationToken cancellationToken = default)
    {
        using var run = runs.Enter(cancellationToken);
        using var scope = NewDisposeScope();
        var images = Normalized(GetImageFeatures(pixelValues, cancellationToken));
        var texts = Normalized(GetTextFeatures(inputIds, cancellationToken));
        var logits = images.mm(texts.t()) * logit_scale.exp();
        return new CLIPOutput(images.MoveToOuterDisposeScope(), texts.MoveToOuterDisposeScope(), logits.MoveToOuterDisposeScope());
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => runs.Release(disposing, () => base.Dispose(disposing));

    private static Tensor Normalized(Tensor x) => x / x.norm(-1, keepdim: true);
}

/// <summary>Represents the similarity of images and texts (transformers' <c>CLIPOutput</c>). All tensors belong to the caller.</summary>
/// <param name="ImageEmbeds">(images, projection_dim), each of length 1.</param>
/// <param name="TextEmbeds">(texts, projection_dim), each of length 1.</param>
/// <param name="LogitsPerImage">(images, texts): their cosines times the exponential of the learned <c>logit_scale</c>.</param>
public sealed record CLIPOutput(Tensor ImageEmbeds, Tensor TextEmbeds, Tensor LogitsPerImage);
