namespace StorySync.Attention;

/// <summary>Represents a part of a run, as fractions of its steps, so that it means the same for any number of them.</summary>
public sealed record StepRange
{
    /// <summary>Initializes a new instance of the <see cref="StepRange"/> class.</summary>
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

    /// <summary>Returns a value indicating whether a step is in the range: <c>From · steps ≤ step &lt; To · steps</c>. If a range lies
    /// between two steps of a run, it contains the step in which it begins, unless it is empty.</summary>
    /// <param name="step">The step, from 0.</param>
    /// <param name="steps">The number of steps of the run.</param>
    public bool Contains(int step, int steps)
    {
        var (from, to) = (From * steps, To * steps);
        return (from <= step && step < to) || (From < To && Math.Ceiling(from) >= to && step == (int)from);
    }
}
