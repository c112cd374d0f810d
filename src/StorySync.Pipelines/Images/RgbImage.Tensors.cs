using StorySync.Kernels;
using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

// Images as tensors, and as masks.
public sealed partial class RgbImage
{
    /// <summary>Creates images from a tensor, rounded to 8 bits as diffusers does.</summary>
    /// <param name="images">(batch, 3, height, width) in [0, 1]; values beyond are clamped.</param>
    public static IReadOnlyList<RgbImage> FromTensor(Tensor images)
    {
        ArgumentNullException.ThrowIfNull(images);
        using var scope = NewDisposeScope();
        return [.. images.unbind(0).Select(FromImage)];
    }

    /// <summary>Returns the image as a tensor, (1, 3, height, width), float32 in [−1, 1], as autoencoders take it.</summary>
    public Tensor ToTensor()
    {
        using var scope = NewDisposeScope();
        var bytes = tensor(pixels, [1, Height, Width, 3], dtype: uint8);
        return bytes.permute(0, 3, 1, 2).to(float32).Over(255).Times(2).Minus(1).MoveToOuterDisposeScope();
    }

    /// <summary>Returns the image with the colors of transparent pixels as they are stored, as masks are read.</summary>
    internal RgbImage WithoutAlpha() => transparent is null ? this : new(Width, Height, transparent.Colors, null, Provenance);

    /// <summary>Returns the luma of every pixel, as Pillow computes it (ITU-R 601-2): 0.299 R + 0.587 G + 0.114 B.</summary>
    internal byte[] ToLuma()
    {
        var luma = new byte[Width * Height];
        for (var i = 0; i < luma.Length; i++)
        {
            luma[i] = (byte)(((pixels[3 * i] * 19595) + (pixels[(3 * i) + 1] * 38470) + (pixels[(3 * i) + 2] * 7471) + 0x8000) >> 16);
        }

        return luma;
    }

    /// <summary>Returns a bool tensor, (height, width): true where the image is white, that is, its luma is at least one half.</summary>
    internal Tensor ToMask() => Scoped(() => tensor(ToLuma(), [Height, Width], dtype: uint8).GreaterThan(127));

    /// <summary>Returns whether the image, taken as a mask, is white anywhere.</summary>
    internal bool HasWhite() => WithoutAlpha().ToLuma().AsSpan().ContainsAnyInRange((byte)128, byte.MaxValue);

    private static RgbImage FromImage(Tensor image)
    {
        using var scope = NewDisposeScope();
        var bytes = image.to(float32).permute(1, 2, 0).Clamp(0, 1).Times(255).round().to(uint8).contiguous().cpu();
        return new RgbImage((int)image.shape[2], (int)image.shape[1], bytes.data<byte>().ToArray());
    }
}
