namespace StorySync.Benchmarks.Attack;

/// <summary>One part of the attack, in a process of its own.</summary>
internal interface IAttack : IDisposable
{
    /// <summary>Gets what the last case did, for whoever has to find out why it failed.</summary>
    string Input { get; }

    /// <summary>Makes one case.</summary>
    /// <param name="index">Its number.</param>
    /// <param name="random">Where everything that a case draws comes from; seeded by part and number.</param>
    /// <returns>How it ended, in one of the ways that are promised.</returns>
    /// <exception cref="Exception">It ended in another way.</exception>
    string Try(int index, Random random);

    /// <summary>Says what can be said of all cases together.</summary>
    /// <exception cref="InvalidOperationException">All together break a promise.</exception>
    string? Conclude() => null;
}
