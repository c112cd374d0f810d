using System.ComponentModel.DataAnnotations;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>Represents the entries that the <c>config.json</c> of <see cref="AutoencoderKL"/> and of <see cref="VQModel"/> have in common,
/// with diffusers' defaults.</summary>
public abstract record ConvolutionalAutoencoderConfig
{
    private protected ConvolutionalAutoencoderConfig()
    {
    }

    /// <summary>Gets the number of channels of the image to encode.</summary>
    [Range(1, 1 << 20)]
    public int InChannels { get; init; } = 3;

    /// <summary>Gets the number of channels of the decoded image.</summary>
    [Range(1, 1 << 20)]
    public int OutChannels { get; init; } = 3;

    /// <summary>Gets, for each level of the encoder, whether it has attention.</summary>
    [AllowedValues("DownEncoderBlock2D", "AttnDownEncoderBlock2D")]
    public IReadOnlyList<string> DownBlockTypes { get; init; } = ["DownEncoderBlock2D"];

    /// <summary>Gets, for each level of the decoder, from the coarsest, whether it has attention.</summary>
    [AllowedValues("UpDecoderBlock2D", "AttnUpDecoderBlock2D")]
    public IReadOnlyList<string> UpBlockTypes { get; init; } = ["UpDecoderBlock2D"];

    /// <summary>Gets the channels of each level, from the finest. Each level halves height and width, but for the last.</summary>
    [Range(1, 1 << 20)]
    [MaxLength(16)]
    public IReadOnlyList<int> BlockOutChannels { get; init; } = [64];

    /// <summary>Gets the number of residual blocks in a level of the encoder; the decoder has one more.</summary>
    [Range(1, 4096)]
    [LayerCount(@"down_blocks\.\d+\.resnets")]
    public int LayersPerBlock { get; init; } = 1;

    /// <summary>Gets the activation's name.</summary>
    [ActivationName]
    public string ActFn { get; init; } = "silu";

    /// <summary>Gets the number of groups of the norms.</summary>
    [Range(1, 4096)]
    public int NormNumGroups { get; init; } = 32;

    /// <summary>Gets a value indicating whether the middle of encoder and decoder has attention.</summary>
    public bool MidBlockAddAttention { get; init; } = true;

    /// <summary>Gets what the latents are multiplied by for the denoiser.</summary>
    [Range(1e-6, 1e6)]
    public double ScalingFactor { get; init; } = 0.18215;

    /// <summary>Gets the number of channels of the latents.</summary>
    public abstract int LatentChannels { get; init; }

    /// <summary>How many times higher and wider the image is than its latents.</summary>
    internal int SpatialFactor => 1 << (BlockOutChannels.Count - 1);

    /// <exception cref="ArgumentException">The lists do not have one entry for each level.</exception>
    internal virtual void Validate()
    {
        if (DownBlockTypes.Count != BlockOutChannels.Count || UpBlockTypes.Count != BlockOutChannels.Count || BlockOutChannels.Count == 0)
        {
            throw new ArgumentException(
                $"down_block_types has {DownBlockTypes.Count} entries, up_block_types {UpBlockTypes.Count} and block_out_channels "
                + $"{BlockOutChannels.Count}; each must have one for every level of the autoencoder.");
        }

        if (BlockOutChannels.FirstOrDefault(channels => channels % NormNumGroups != 0) is var uneven and > 0)
        {
            throw new ArgumentException(
                $"'norm_num_groups' is {NormNumGroups}; it must divide every number of 'block_out_channels', {uneven} too.");
        }
    }
}
