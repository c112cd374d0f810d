using System.ComponentModel.DataAnnotations;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>Represents the <c>config.json</c> of <see cref="AutoencoderTiny"/>, with diffusers' defaults.</summary>
public sealed record AutoencoderTinyConfig
{
    /// <summary>Gets the number of channels of the image to encode.</summary>
    [Range(1, 1 << 20)]
    public int InChannels { get; init; } = 3;

    /// <summary>Gets the number of channels of the decoded image.</summary>
    [Range(1, 1 << 20)]
    public int OutChannels { get; init; } = 3;

    /// <summary>Gets the number of channels of each level of the encoder; all are equal, because nothing between the levels changes their
    /// number.</summary>
    [Range(1, 1 << 20)]
    public IReadOnlyList<int> EncoderBlockOutChannels { get; init; } = [64, 64, 64, 64];

    /// <summary>Gets the number of channels of each level of the decoder; all are equal.</summary>
    [Range(1, 1 << 20)]
    public IReadOnlyList<int> DecoderBlockOutChannels { get; init; } = [64, 64, 64, 64];

    /// <summary>Gets the number of blocks in each level of the encoder.</summary>
    [Range(0, 4096)]
    [MaxLength(16)]
    [LayerCount(@"encoder\.layers")]
    public IReadOnlyList<int> NumEncoderBlocks { get; init; } = [1, 3, 3, 3];

    /// <summary>Gets the number of blocks in each level of the decoder.</summary>
    [Range(0, 4096)]
    [MaxLength(16)]
    [LayerCount(@"decoder\.layers")]
    public IReadOnlyList<int> NumDecoderBlocks { get; init; } = [3, 3, 3, 1];

    /// <summary>Gets the activation's name.</summary>
    [ActivationName]
    public string ActFn { get; init; } = "relu";

    /// <summary>Gets how the decoder enlarges.</summary>
    [AllowedValues("nearest")]
    public string UpsampleFn { get; init; } = "nearest";

    /// <summary>Gets how many times higher and wider each level of the decoder is than the one before.</summary>
    [Range(1, 16)]
    public int UpsamplingScalingFactor { get; init; } = 2;

    /// <summary>Gets the number of channels of the latents.</summary>
    [Range(1, 1 << 20)]
    public int LatentChannels { get; init; } = 4;

    /// <summary>Gets what the latents are multiplied by for the denoiser.</summary>
    [Range(1e-6, 1e6)]
    public double ScalingFactor { get; init; } = 1;

    /// <summary>Gets what is taken off the latents before they are scaled.</summary>
    [Range(-1e6, 1e6)]
    public double ShiftFactor { get; init; }

    /// <exception cref="ArgumentException">The lists do not fit each other.</exception>
    internal void Validate()
    {
        Check("encoder_block_out_channels", EncoderBlockOutChannels, "num_encoder_blocks", NumEncoderBlocks);
        Check("decoder_block_out_channels", DecoderBlockOutChannels, "num_decoder_blocks", NumDecoderBlocks);
    }

    private static void Check(string channelsKey, IReadOnlyList<int> channels, string blocksKey, IReadOnlyList<int> blocks)
    {
        if (channels.Count != blocks.Count || channels.Distinct().Count() != 1)
        {
            throw new ArgumentException(
                $"{channelsKey} is [{string.Join(", ", channels)}] and {blocksKey} is [{string.Join(", ", blocks)}]; "
                + "both must have one entry for every level, and the channels must be equal.");
        }
    }
}
