using System.Text.Json.Serialization;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Represents where a subject is in an image, on the grid on which it was found.</summary>
[JsonConverter(typeof(SubjectRegionJsonConverter))]
public sealed class SubjectRegion
{
    private readonly bool[] cells;

    /// <summary>Initializes a new instance of the <see cref="SubjectRegion"/> class.</summary>
    /// <param name="width">Cells in a row.</param>
    /// <param name="height">Rows.</param>
    /// <param name="cells">Whether each cell belongs to the subject, row by row; not copied.</param>
    /// <exception cref="ArgumentException">The number of cells does not fit the size.</exception>
    public SubjectRegion(int width, int height, bool[] cells)
    {
        ArgumentNullException.ThrowIfNull(cells);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 1);
        if (cells.Length != (long)width * height)
        {
            throw new ArgumentException($"A region of {width}×{height} cells has {(long)width * height} values, not {cells.Length}.",
                nameof(cells));
        }

        (Width, Height, this.cells) = (width, height, cells);
    }

    /// <summary>Gets the number of cells in a row.</summary>
    public int Width { get; }

    /// <summary>Gets the number of rows.</summary>
    public int Height { get; }

    /// <summary>Gets a value indicating whether each cell belongs to the subject, row by row.</summary>
    public ReadOnlySpan<bool> Cells => cells;

    /// <summary>Gets the share of the image that the subject takes, 0 … 1.</summary>
    public double Area => cells.Count(cell => cell) / (double)cells.Length;

    /// <summary>Returns the region as an image, white on black, each cell a rectangle.</summary>
    /// <param name="width">Pixels.</param>
    /// <param name="height">Pixels.</param>
    public RgbImage ToImage(int width, int height)
    {
        var pixels = new byte[width * height * 3];
        for (var y = 0; y < height; y++)
        {
            for (var x = 0; x < width; x++)
            {
                if (cells[(y * Height / height * Width) + (x * Width / width)])
                {
                    pixels.AsSpan(((y * width) + x) * 3, 3).Fill(byte.MaxValue);
                }
            }
        }

        return new RgbImage(width, height, pixels);
    }

    /// <summary>Takes a bool tensor of shape (height, width) on the host.</summary>
    internal static SubjectRegion FromTensor(Tensor mask) => new((int)mask.shape[1], (int)mask.shape[0], [.. mask.data<bool>()]);
}
