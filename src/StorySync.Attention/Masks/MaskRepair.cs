using StorySync.Kernels;
using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Provides the mending of speckled masks. Masks are small: the work is done on the host.</summary>
internal static class MaskRepair
{
    /// <summary>Closes gaps, then drops connected components (cells that touch by a side or a corner belong together).</summary>
    /// <param name="mask">One mask, bool, (height, width).</param>
    /// <param name="closing">Gaps up to twice this many cells wide are closed (dilation, then erosion, by a square of
    /// <c>2 · closing + 1</c> cells); 0 closes none.</param>
    /// <param name="components">How many components stay, the largest first, the upper left one if equal; 0 keeps all.</param>
    /// <param name="minArea">Components that cover a smaller share of the mask than this, 0 … 1, are dropped.</param>
    /// <returns>The mended mask, bool, (height, width), on the mask's device.</returns>
    /// <exception cref="ArgumentException">The mask is not two-dimensional.</exception>
    public static Tensor Apply(Tensor mask, int closing = 0, int components = 0, double minArea = 0)
    {
        ArgumentNullException.ThrowIfNull(mask);
        if (mask.dim() != 2)
        {
            throw new ArgumentException($"A mask of shape (height, width) is needed, but this has {mask.dim()} dimensions.", nameof(mask));
        }

        return Scoped(() => ApplyToAll(DeviceTransfer.Fetch(mask).to_type(ScalarType.Bool).unsqueeze(0), closing, components, minArea)
            .squeeze(0).to(mask.device));
    }

    /// <summary>Mends masks on the host, bool, (masks, height, width), each by itself.</summary>
    internal static Tensor ApplyToAll(Tensor masks, int closing, int components, double minArea)
    {
        using var scope = NewDisposeScope();
        var cells = Close(masks, closing).contiguous().data<bool>().ToArray();
        var (height, width) = ((int)masks.shape[1], (int)masks.shape[2]);
        var kept = new bool[cells.Length];
        for (var first = 0; first < cells.Length; first += height * width)
        {
            var found = Components(cells.AsSpan(first, height * width), height, width)
                .OrderByDescending(component => component.Count)
                .Take(components == 0 ? int.MaxValue : components)
                .Where(component => component.Count >= minArea * height * width);
            foreach (var cell in found.SelectMany(component => component))
            {
                kept[first + cell] = true;
            }
        }

        return tensor(kept).view(masks.shape).MoveToOuterDisposeScope();
    }

    private static Tensor Close(Tensor masks, int radius)
    {
        if (radius == 0)
        {
            return masks;
        }

        // A square that covers the mask closes as much as any larger one.
        radius = (int)Math.Min(radius, Math.Max(masks.shape[1], masks.shape[2]));

        // On a wider canvas, so that the border is neither subject nor background.
        var canvas = nn.functional.pad(masks.to_type(ScalarType.Float32), [radius, radius, radius, radius]);
        var closed = Dilate(Dilate(canvas, radius).Times(-1), radius).Times(-1);
        return closed.narrow(1, radius, masks.shape[1]).narrow(2, radius, masks.shape[2]).GreaterThan(0);
    }

    private static Tensor Dilate(Tensor canvas, int radius)
    {
        var size = (2L * radius) + 1;
        return nn.functional.max_pool2d(canvas.unsqueeze(1), [size, size], strides: [1, 1], padding: [radius, radius]).squeeze(1);
    }

    private static List<List<int>> Components(Span<bool> mask, int height, int width)
    {
        var components = new List<List<int>>();
        for (var first = 0; first < mask.Length; first++)
        {
            if (!mask[first])
            {
                continue;
            }

            mask[first] = false;
            var cells = new List<int> { first };
            for (var next = 0; next < cells.Count; next++)
            {
                var (row, column) = Math.DivRem(cells[next], width);
                for (var y = Math.Max(row - 1, 0); y <= Math.Min(row + 1, height - 1); y++)
                {
                    for (var x = Math.Max(column - 1, 0); x <= Math.Min(column + 1, width - 1); x++)
                    {
                        if (mask[(y * width) + x])
                        {
                            mask[(y * width) + x] = false;
                            cells.Add((y * width) + x);
                        }
                    }
                }
            }

            components.Add(cells);
        }

        return components;
    }
}
