using System.Collections.Immutable;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the steps of a denoising, fixed in advance. Immutable and shared freely; <see cref="Start"/> begins a
/// generation.</summary>
public sealed class SchedulePlan
{
    private readonly Scheduler scheduler;
    private readonly ImmutableArray<NoiseLevel> levels;

    internal SchedulePlan(
        Scheduler scheduler, int steps, ReadOnlySpan<float> timesteps, ReadOnlySpan<float> sigmas, IEnumerable<NoiseLevel> levels)
    {
        this.scheduler = scheduler;
        this.levels = [.. levels];
        Steps = steps;
        Timesteps = [.. timesteps];
        Sigmas = [.. sigmas];
    }

    /// <summary>Gets the number of steps that was asked for.</summary>
    public int Steps { get; }

    /// <summary>Gets the timestep of every model call, in order. May be fractional, and may repeat (Heun, PNDM): count calls, do not
    /// search.</summary>
    public ImmutableArray<float> Timesteps { get; }

    /// <summary>Gets the noise level of every model call, and the final one after them. Empty for schedulers that go by alphas.</summary>
    public ImmutableArray<float> Sigmas { get; }

    /// <summary>Gets what standard normal noise is multiplied by to make the first sample.</summary>
    public float InitNoiseSigma { get; internal init; } = 1;

    /// <summary>Gets the number of model calls per step.</summary>
    public int Order => scheduler.Order;

    /// <summary>By model call, what the sample is divided by for the model; empty where the model sees it as it is.</summary>
    internal ImmutableArray<float> InputScales { get; init; } = [];

    /// <summary>Begins a generation.</summary>
    /// <param name="noise">Gives the noise that steps inject; may be null for a scheduler that injects none.</param>
    /// <param name="beginIndex">The first model call to make, see <see cref="BeginIndex"/>; 0 … <see cref="Timesteps"/> − 1.</param>
    /// <param name="eta">How much noise <see cref="DDIMScheduler"/> injects, 0 … 1; ignored by other schedulers.</param>
    public SchedulerRun Start(NoiseSource? noise = null, int beginIndex = 0, double eta = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(beginIndex);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(beginIndex, Timesteps.Length);
        return scheduler.Start(new SolverStart(this, noise, beginIndex, eta));
    }

    /// <summary>Returns where an image-to-image generation begins: the last <paramref name="strength"/> of the steps is made.</summary>
    /// <param name="strength">0 … 1; 1 makes all steps.</param>
    /// <exception cref="ArgumentException">So small a strength leaves no step.</exception>
    public int BeginIndex(double strength)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(strength);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(strength, 1);
        var made = (int)(Steps * strength);
        return made > 0
            ? (Steps - made) * Order
            : throw new ArgumentException(
                $"Of {Steps} steps, a strength of {strength} leaves none. Raise the strength or the number of steps.");
    }

    /// <summary>Returns the model call that a timestep belongs to, as diffusers finds it: the second one where it repeats.</summary>
    /// <exception cref="ArgumentException">The timestep is not in the plan.</exception>
    public int IndexOf(float timestep)
    {
        var first = Timesteps.IndexOf(timestep);
        if (first < 0)
        {
            throw new ArgumentException($"Timestep {timestep} is none of the plan's: {string.Join(", ", Timesteps)}.", nameof(timestep));
        }

        return Timesteps.AsSpan()[(first + 1)..].IndexOf(timestep) is var further and >= 0 ? first + 1 + further : first;
    }

    /// <summary>Brings a sample to the variance that the model expects.</summary>
    /// <param name="sample">A sample of any shape; it stays as it is.</param>
    /// <param name="index">The model call.</param>
    public Tensor ScaleModelInput(Tensor sample, int index) =>
        InputScales.IsEmpty ? sample.alias() : sample.Over(InputScales[index]);

    /// <summary>Adds noise to a clean sample, up to the level at which a model call begins (diffusers' <c>add_noise</c>, for flow matching
    /// <c>scale_noise</c>).</summary>
    /// <param name="original">The clean samples, (rows, …).</param>
    /// <param name="noise">Standard normal noise of the same shape.</param>
    /// <param name="indices">The model call for each row, or one for all.</param>
    public Tensor AddNoise(Tensor original, Tensor noise, params ReadOnlySpan<int> indices)
    {
        ArgumentNullException.ThrowIfNull(original);
        if (indices.Length != 1 && indices.Length != original.shape[0])
        {
            throw new ArgumentException(
                $"{indices.Length} model calls are given for {original.shape[0]} rows; give one for all or one for each.", nameof(indices));
        }

        using var scope = NewDisposeScope();
        long[] shape = [indices.Length, .. Enumerable.Repeat(1L, (int)original.dim() - 1)];
        var signals = new float[indices.Length];
        var noises = new float[indices.Length];
        for (var i = 0; i < indices.Length; i++)
        {
            (signals[i], noises[i], _) = levels[indices[i]];
        }

        return (ByRow(signals) * original).Plus(ByRow(noises) * noise).MoveToOuterDisposeScope();

        // A number is written on the device; several are copied to it, which is waited for.
        Tensor ByRow(float[] factors) => factors is [var one] ? tensor(one, original.dtype, original.device).view(shape)
            : tensor(factors, shape, original.dtype, original.device);
    }

    internal NoiseLevel Level(int index) => levels[index];
}
