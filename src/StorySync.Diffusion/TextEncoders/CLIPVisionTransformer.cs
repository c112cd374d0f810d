using StorySync.Kernels;
using StorySync.Diffusion.Layers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>The image tower (transformers' <c>CLIPVisionModel</c>).</summary>
internal sealed class CLIPVisionTransformer
    : ScopedModule<Tensor, CancellationToken, (Tensor LastHiddenState, Tensor Pooled)>
{
    private readonly CLIPVisionEmbeddings embeddings;
    // The misspelling is CLIP's own, and every checkpoint has it.
    private readonly LayerNorm pre_layrnorm;
    private readonly CLIPEncoder encoder;
    private readonly LayerNorm post_layernorm;

    public CLIPVisionTransformer(CLIPVisionConfig config)
        : base(nameof(CLIPVisionTransformer))
    {
        config.Validate();
        embeddings = new CLIPVisionEmbeddings(config);
        pre_layrnorm = new LayerNorm(config.HiddenSize, config.LayerNormEps);
        encoder = new CLIPEncoder(config, causal: false);
        post_layernorm = new LayerNorm(config.HiddenSize, config.LayerNormEps);
        RegisterComponents();
    }

    /// <param name="pixelValues">(batch, channels, image_size, image_size).</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked before each layer.</param>
    /// <returns>The last layer's result, (batch, 1 + patches, hidden_size), and its class token after the final norm,
    /// (batch, hidden_size).</returns>
    protected override (Tensor LastHiddenState, Tensor Pooled) Compute(Tensor pixelValues, CancellationToken cancellationToken)
    {
        var hidden = pre_layrnorm.call(embeddings.call(pixelValues));
        foreach (var next in encoder.Run(hidden, cancellationToken))
        {
            hidden = next.Freeing(hidden);
        }

        return (hidden, post_layernorm.call(hidden.select(1, 0)));
    }
}

/// <summary>A class token and one token a patch, each with its position (transformers' <c>CLIPVisionEmbeddings</c>).</summary>
internal sealed class CLIPVisionEmbeddings : ScopedModule<Tensor, Tensor>
{
    private readonly Parameter class_embedding;
    private readonly Conv2d patch_embedding;
    private readonly Embedding position_embedding;
    private readonly long[] imageShape;

    public CLIPVisionEmbeddings(CLIPVisionConfig config)
        : base(nameof(CLIPVisionEmbeddings))
    {
        long side = config.ImageSize / config.PatchSize;
        class_embedding = Parameters.Declare(config.HiddenSize);
        patch_embedding = new Conv2d(config.NumChannels, config.HiddenSize, config.PatchSize, stride: config.PatchSize, bias: false);
        position_embedding = new Embedding((side * side) + 1, config.HiddenSize);
        imageShape = [config.NumChannels, config.ImageSize, config.ImageSize];
        RegisterComponents();
    }

    protected override Tensor Compute(Tensor pixelValues)
    {
        ArgumentNullException.ThrowIfNull(pixelValues);
        if (pixelValues.dim() != 4 || !pixelValues.shape.AsSpan(1).SequenceEqual(imageShape))
        {
            throw new ArgumentException($"The image encoder takes pixels of shape (batch, {string.Join(", ", imageShape)}); "
                + $"found ({string.Join(", ", pixelValues.shape)}). A {nameof(CLIPImageProcessor)} makes them from any image.");
        }

        var patches = patch_embedding.call(pixelValues.to(patch_embedding.Dtype)).flatten(2).transpose(1, 2);
        var classes = class_embedding.expand(patches.shape[0], 1, -1);
        return cat([classes, patches], dim: 1).Plus_(position_embedding.weight);
    }
}
