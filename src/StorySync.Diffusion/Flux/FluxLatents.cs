using StorySync.Attention;
using StorySync.Kernels;
using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Flux;

/// <summary>Converts between the latents of an autoencoder and the tokens that FLUX reads: each 2×2 patch is one token (diffusers'
/// <c>FluxPipeline._pack_latents</c>, <c>_unpack_latents</c>, <c>_prepare_latent_image_ids</c>).</summary>
public static class FluxLatents
{
    /// <summary>The axes of a token's position: text, row and column.</summary>
    internal const int Axes = 3;

    private const int Patch = 2;

    /// <summary>Tokens of latents, row by row.</summary>
    /// <param name="latents">(batch, channels, height, width), both sides even.</param>
    /// <returns>(batch, height/2 · width/2, 4 · channels); channel <c>4c + 2·dy + dx</c> of a token is channel <c>c</c> at
    /// <c>(dy, dx)</c> of its patch.</returns>
    /// <exception cref="ArgumentException">A side is odd, or the tensor does not have four axes.</exception>
    public static Tensor Pack(Tensor latents)
    {
        ArgumentNullException.ThrowIfNull(latents);
        if (latents.shape is not [var batch, var channels, var height, var width] || height % Patch != 0 || width % Patch != 0)
        {
            throw new ArgumentException(
                $"Latents of shape ({string.Join(", ", latents.shape)}) cannot be packed: expected (batch, channels, height, width) with "
                    + $"even "
                + "height and width. Choose a picture size that is a multiple of 16.",
                nameof(latents));
        }

        return Scoped(() => latents
            .reshape(batch, channels, height / Patch, Patch, width / Patch, Patch)
            .permute(0, 2, 4, 1, 3, 5)
            .reshape(batch, height / Patch * (width / Patch), channels * Patch * Patch));
    }

    /// <summary>Latents of tokens: undoes <see cref="Pack"/>.</summary>
    /// <param name="tokens">(batch, tokens, 4 · channels).</param>
    /// <param name="grid">How the tokens lie.</param>
    /// <returns>(batch, channels, 2 · grid height, 2 · grid width).</returns>
    /// <exception cref="ArgumentException">The tokens do not fill the grid, or their width is not a multiple of 4.</exception>
    public static Tensor Unpack(Tensor tokens, TokenGrid grid)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        if (tokens.shape is not [var batch, var count, var width] || count != grid.Tokens || width % (Patch * Patch) != 0)
        {
            throw new ArgumentException(
                $"Tokens of shape ({string.Join(", ", tokens.shape)}) cannot be unpacked to a grid of {grid}: expected (batch, "
                    + $"{grid.Tokens}, 4 · channels).",
                nameof(tokens));
        }

        return Scoped(() => tokens
            .reshape(batch, grid.Height, grid.Width, width / (Patch * Patch), Patch, Patch)
            .permute(0, 3, 1, 4, 2, 5)
            .reshape(batch, width / (Patch * Patch), grid.Height * Patch, grid.Width * Patch));
    }

    /// <summary>Returns the grid of tokens that latents of this size pack to.</summary>
    /// <param name="height">Rows of the latents.</param>
    /// <param name="width">Columns of the latents.</param>
    public static TokenGrid Grid(long height, long width) => new((int)(height / Patch), (int)(width / Patch));

    /// <summary>Returns the position ids of image tokens: (0, row, column).</summary>
    /// <param name="grid">How the tokens lie.</param>
    /// <param name="device">Where to make them; null for the CPU.</param>
    /// <returns>(tokens, 3), float32.</returns>
    public static Tensor ImageIds(TokenGrid grid, Device? device = null)
    {
        using var scope = NewDisposeScope();
        var tokens = Arithmetic.Arange(0, grid.Tokens, device: device);
        return stack([zeros_like(tokens), tokens.FloorDivide(grid.Width), tokens.Remainder(grid.Width)],
            1).to(float32).MoveToOuterDisposeScope();
    }

    /// <summary>Returns the position ids of text tokens: all zero.</summary>
    /// <param name="tokens">The number of text tokens.</param>
    /// <param name="device">Where to make them; null for the CPU.</param>
    /// <returns>(tokens, 3), float32.</returns>
    public static Tensor TextIds(long tokens, Device? device = null) => zeros(tokens, 3, float32, device);
}
