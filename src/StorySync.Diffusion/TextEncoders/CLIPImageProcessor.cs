using System.ComponentModel.DataAnnotations;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>Prepares an image as the input of a <see cref="CLIPModel"/>: resizes, crops to the middle, rescales, normalizes. Properties are
/// the entries of <c>preprocessor_config.json</c>; defaults are those of transformers' <c>CLIPImageProcessor</c>, whose form for Pillow
/// (<c>CLIPImageProcessorPil</c>) gives the same numbers.</summary>
public sealed record CLIPImageProcessor
{
    /// <summary>Gets a value indicating whether to resize.</summary>
    public bool DoResize { get; init; } = true;

    /// <summary>Gets the size to resize to.</summary>
    public CLIPImageSize Size { get; init; } = 224;

    /// <summary>Gets the filter, by Pillow's number. Only 3, bicubic, is known.</summary>
    [AllowedValues(3)]
    public int Resample { get; init; } = 3;

    /// <summary>Gets a value indicating whether to crop.</summary>
    public bool DoCenterCrop { get; init; } = true;

    /// <summary>Gets the size to crop to; where the image is smaller, black is added.</summary>
    public CLIPImageSize CropSize { get; init; } = 224;

    /// <summary>Gets a value indicating whether to multiply by <see cref="RescaleFactor"/>.</summary>
    public bool DoRescale { get; init; } = true;

    /// <summary>Gets what brings 0 … 255 to 0 … 1.</summary>
    [Range(1e-9, 1e3)]
    public double RescaleFactor { get; init; } = 1 / 255.0;

    /// <summary>Gets a value indicating whether to subtract <see cref="ImageMean"/> and divide by <see cref="ImageStd"/>.</summary>
    public bool DoNormalize { get; init; } = true;

    /// <summary>Gets the mean of each of the three channels.</summary>
    [Range(-1e6, 1e6)]
    public float[] ImageMean { get; init; } = [0.48145466f, 0.4578275f, 0.40821073f];

    /// <summary>Gets the standard deviation of each of the three channels.</summary>
    [Range(1e-6, 1e6)]
    public float[] ImageStd { get; init; } = [0.26862954f, 0.26130258f, 0.27577711f];

    /// <summary>Reads <c>preprocessor_config.json</c>.</summary>
    /// <param name="folder">The model.</param>
    /// <param name="component">The folder in it that holds the file; empty for the folder itself.</param>
    /// <exception cref="ModelFileException">The file is missing or an entry is wrong.</exception>
    public static CLIPImageProcessor Load(ModelFolder folder, string component = "")
    {
        ArgumentNullException.ThrowIfNull(folder);
        const string file = "preprocessor_config.json";
        var processor = folder.Config<CLIPImageProcessor>(component, file);
        foreach (var (key, size) in (ReadOnlySpan<(string, CLIPImageSize)>)[("size", processor.Size), ("crop_size", processor.CropSize)])
        {
            if (!size.IsComplete)
            {
                throw new ModelFileException(folder.FilePath(component, file),
                    $"'{key}' is not a size; it needs shortest_edge, or height and width");
            }
        }

        return processor is { ImageMean.Length: 3, ImageStd.Length: 3 }
            ? processor
            : throw new ModelFileException(folder.FilePath(component, file),
                $"'image_mean' and 'image_std' have {processor.ImageMean.Length} and {processor.ImageStd.Length} entries; an RGB image "
                    + $"needs 3 of each");
    }

    /// <summary>Prepares one image.</summary>
    /// <param name="image">8-bit RGB, uint8, (height, width, 3).</param>
    /// <returns>float32, (1, 3, height, width) of <see cref="CropSize"/>.</returns>
    /// <exception cref="ArgumentException">The image does not have the expected shape or type.</exception>
    public Tensor Preprocess(Tensor image)
    {
        ArgumentNullException.ThrowIfNull(image);
        if (image.dtype != ScalarType.Byte || image.dim() != 3 || image.shape[2] != 3 || image.numel() == 0)
        {
            throw new ArgumentException(
                $"An image must be uint8 of shape (height, width, 3); found {image.dtype} of shape ({string.Join(", ", image.shape)}).",
                    nameof(image));
        }

        return Scoped(() => Preprocess(image.cpu().contiguous().bytes, (int)image.shape[0], (int)image.shape[1]));
    }

    /// <summary>Prepares one image.</summary>
    /// <param name="rgb">Its rows, from the top, of interleaved red, green and blue.</param>
    /// <param name="height">Number of rows.</param>
    /// <param name="width">Number of columns.</param>
    /// <returns>float32, (1, 3, height, width) of <see cref="CropSize"/>.</returns>
    /// <exception cref="ArgumentException">There are not height · width · 3 bytes, or the resized image would be too large.</exception>
    public Tensor Preprocess(ReadOnlySpan<byte> rgb, int height, int width)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(height);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        if (rgb.Length != (long)height * width * 3)
        {
            throw new ArgumentException($"An image of {width} × {height} pixels has {(long)height * width * 3} bytes; found {rgb.Length}.",
                nameof(rgb));
        }

        if (DoResize)
        {
            var (newHeight, newWidth) = Size.ToResize(height, width);
            if ((long)Math.Max(height, newHeight) * Math.Max(width, newWidth) * 3 > Array.MaxLength)
            {
                throw new ArgumentException(
                    $"An image of {width} × {height} pixels would be resized to {newWidth} × {newHeight}, which is too large. Crop it "
                        + $"first.", nameof(rgb));
            }

            rgb = PillowResampler.Bicubic.Resize(rgb, height, width, newHeight, newWidth);
            (height, width) = (newHeight, newWidth);
        }

        var (rows, columns) = DoCenterCrop ? CropSize.ToCrop() : (height, width);
        var (top, left) = ((height - rows) >> 1, (width - columns) >> 1);
        var tables = Enumerable.Range(0, 3).Select(Table).ToArray();
        var values = new float[3 * rows * columns];
        var next = 0;
        foreach (var (channel, table) in tables.Index())
        {
            for (var y = top; y < top + rows; y++)
            {
                for (var x = left; x < left + columns; x++)
                {
                    var inside = y >= 0 && y < height && x >= 0 && x < width;
                    values[next++] = table[inside ? rgb[(((y * width) + x) * 3) + channel] : 0];
                }
            }
        }

        return tensor(values, [1, 3, rows, columns]);
    }

    /// <summary>What each of the 256 values of a channel becomes.</summary>
    private float[] Table(int channel) => [.. Enumerable.Range(0, 256).Select(value =>
    {
        var scaled = (float)(DoRescale ? value * RescaleFactor : value);
        return DoNormalize ? (scaled - ImageMean[channel]) / ImageStd[channel] : scaled;
    })];
}
