using System.Collections.Immutable;

namespace StorySync.Samples.Studio.Projects;

/// <summary>The versions of a value that can be gone back to.</summary>
public sealed record History<T>(T Now)
{
    private const int Depth = 200;

    private ImmutableStack<T> Before { get; init; } = [];

    private ImmutableStack<T> After { get; init; } = [];

    private int Steps { get; init; }

    public bool CanUndo => !Before.IsEmpty;

    public bool CanRedo => !After.IsEmpty;

    /// <summary>Goes on with another value, as a step that can be undone.</summary>
    public History<T> Push(T value) => new(value)
    {
        Before = Steps < Depth ? Before.Push(Now) : ImmutableStack.CreateRange(Before.Take(Depth - 1).Reverse()).Push(Now),
        Steps = Math.Min(Steps + 1, Depth),
    };

    public History<T> Undo() => CanUndo ? new(Before.Peek()) { Before = Before.Pop(), After = After.Push(Now), Steps = Steps - 1 } : this;

    public History<T> Redo() => CanRedo ? new(After.Peek()) { Before = Before.Push(Now), After = After.Pop(), Steps = Steps + 1 } : this;
}
