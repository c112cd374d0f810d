using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Mends speckled masks. Masks are small: the work is done on the host.</summary>
public static class MaskRepair
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

        using var scope = NewDisposeScope();
        var closed = Close(mask.cpu().to_type(ScalarType.Bool), closing).contiguous();
        var (height, width) = ((int)mask.shape[0], (int)mask.shape[1]);
        var found = Components(closed.data<bool>().ToArray(), height, width)
            .OrderByDescending(cells => cells.Count)
            .Take(components == 0 ? int.MaxValue : components)
            .Where(cells => cells.Count >= minArea * height * width);

        var kept = new bool[height * width];
        foreach (var cell in found.SelectMany(cells => cells))
        {
            kept[cell] = true;
        }

        return tensor(kept, device: mask.device).reshape(height, width).MoveToOuterDisposeScope();
    }

    private static Tensor Close(Tensor mask, int radius)
    {
        if (radius == 0)
        {
            return mask;
        }

        // On a wider canvas, so that the border is neither subject nor background.
        var canvas = nn.functional.pad(mask.to_type(ScalarType.Float32), [radius, radius, radius, radius]);
        var closed = Dilate(Dilate(canvas, radius) * -1, radius) * -1;
        return closed.narrow(0, radius, mask.shape[0]).narrow(1, radius, mask.shape[1]) > 0;
    }

    private static Tensor Dilate(Tensor canvas, int radius)
    {
        var size = (2L * radius) + 1;
        return nn.functional.max_pool2d(canvas.unsqueeze(0).unsqueeze(0), [size, size], strides: [1, 1], padding: [radius, radius])
            .squeeze(0).squeeze(0);
    }

    private static List<List<int>> Components(bool[] mask, int height, int width)
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
