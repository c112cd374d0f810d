using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>Works on a large image tile by tile, so that memory depends on the size of a tile only. Neighboring tiles overlap by
/// a quarter and are blended there, from one to the other in equal steps (diffusers' <c>tiled_decode</c> and
/// <c>tiled_encode</c>).</summary>
internal static class Tiles
{
    private const double Overlap = 0.25;

    /// <param name="input">(batch, channels, height, width).</param>
    /// <param name="inputTile">Height and width of a tile of the input.</param>
    /// <param name="outputTile">Height and width of what becomes of it.</param>
    /// <param name="work">Makes a tile of the output of a tile of the input.</param>
    public static Tensor Map(Tensor input, int inputTile, int outputTile, Func<Tensor, Tensor> work)
    {
        using var scope = NewDisposeScope();
        var stride = Math.Max((int)(inputTile * (1 - Overlap)), 1);
        var blend = (int)(outputTile * Overlap);
        var kept = outputTile - blend;

        var rows = new List<Tensor>();
        Tensor[]? above = null;
        for (long y = 0; y < input.shape[2]; y += stride)
        {
            var row = new List<Tensor>();
            for (long x = 0; x < input.shape[3]; x += stride)
            {
                var tile = work(Part(Part(input, 2, y, inputTile), 3, x, inputTile));
                if (above is not null)
                {
                    Blend(above[row.Count], tile, dimension: 2, blend);
                }

                if (row.Count > 0)
                {
                    Blend(row[^1], tile, dimension: 3, blend);
                }

                row.Add(tile);
            }

            rows.Add(cat([.. row.Select(t => Part(Part(t, 2, 0, kept), 3, 0, kept))], dim: 3));
            above = [.. row];
        }

        return cat(rows, dim: 2).MoveToOuterDisposeScope();
    }

    /// <summary>Lets the end of <paramref name="before"/> fade into the start of <paramref name="tile"/>, in place.</summary>
    private static void Blend(Tensor before, Tensor tile, int dimension, long extent)
    {
        extent = Math.Min(extent, Math.Min(before.shape[dimension], tile.shape[dimension]));
        if (extent == 0)
        {
            return;
        }

        using var scope = NewDisposeScope();
        double[] weights = [.. Enumerable.Range(0, (int)extent).Select(i => (double)i / extent)];
        long[] shape = dimension == 2 ? [extent, 1] : [extent];
        var rising = tensor(weights, dtype: float32, device: tile.device).reshape(shape);
        var falling = tensor([.. weights.Select(w => 1 - w)], dtype: float32, device: tile.device).reshape(shape);
        var start = tile.narrow(dimension, 0, extent);
        var end = before.narrow(dimension, before.shape[dimension] - extent, extent);
        start.copy_((end * falling).Plus(start * rising));
    }

    private static Tensor Part(Tensor x, int dimension, long start, long length) =>
        x.narrow(dimension, start, Math.Min(length, x.shape[dimension] - start));
}
