namespace StorySync.Diffusion.Schedulers.Tables;

/// <summary>numpy's table functions, with numpy's rounding.</summary>
internal static class NumPy
{
    /// <summary><c>np.linspace</c>: both ends included.</summary>
    public static double[] LinSpace(double start, double end, int count)
    {
        var values = new double[count];
        var step = (end - start) / (count - 1);
        for (var i = 0; i < count; i++)
        {
            values[i] = i == 0 ? start : i == count - 1 ? end : i * step + start;
        }

        return values;
    }

    /// <summary><c>np.arange(start, 0, -step)</c>.</summary>
    public static double[] ArangeDown(double start, double step)
    {
        var values = new double[(int)Math.Ceiling(start / step)];
        var delta = start - step - start;
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = start + i * delta;
        }

        return values;
    }

    /// <summary><c>np.interp</c> in a table over 0, 1, 2 …; beyond its ends the end value.</summary>
    public static double Interpolate(double x, ReadOnlySpan<float> table)
    {
        if (x <= 0 || x >= table.Length - 1)
        {
            return x <= 0 ? table[0] : table[^1];
        }

        var low = (int)x;
        return ((double)table[low + 1] - table[low]) * (x - low) + table[low];
    }
}
