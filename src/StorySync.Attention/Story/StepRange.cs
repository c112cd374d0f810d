namespace StorySync.Attention;

/// <summary>A part of a run, as fractions of its steps, so that it means the same for any number of them.</summary>
public sealed record StepRange
{
    /// <summary>Makes a range.</summary>
    /// <param name="from">Where it begins, 0 … 1.</param>
    /// <param name="to">Where it ends, <paramref name="from"/> … 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">An end is out of range.</exception>
    public StepRange(double from, double to)
    {
        From = Require.InRange(from, 0, 1, nameof(from));
        To = Require.InRange(to, from, 1, nameof(to));
    }

    /// <summary>Gets the whole run.</summary>
    public static StepRange All { get; } = new(0, 1);

    /// <summary>Gets where the range begins, 0 … 1.</summary>
    public double From { get; }

    /// <summary>Gets where the range ends, <see cref="From"/> … 1; the step there is outside.</summary>
    public double To { get; }

    /// <summary>Whether a step is in the range: <c>From · steps ≤ step &lt; To · steps</c>. A range between two steps of a run of few has
    /// the one in which it begins, unless it ends where it begins.</summary>
    /// <param name="step">The step, from 0.</param>
    /// <param name="steps">The number of steps of the run.</param>
    public bool Contains(int step, int steps)
    {
        var (from, to) = (From * steps, To * steps);
        return (from <= step && step < to) || (From < To && Math.Ceiling(from) >= to && step == Math.Min((int)from, steps - 1));
    }
}
