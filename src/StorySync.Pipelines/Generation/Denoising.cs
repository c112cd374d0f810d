using System.Diagnostics;
using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Schedulers;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>What the denoising loop works on.</summary>
internal sealed record DenoisingJob
{
    /// <summary>Gets the steps.</summary>
    public required SchedulePlan Plan { get; init; }

    /// <summary>Encoded prompts, one row per image; with guidance the negative ones come first.</summary>
    public required PromptEmbeddings Embeddings { get; init; }

    /// <summary>Gets what to begin with, one row per image, scaled as the plan wants it.</summary>
    public required Tensor Latents { get; init; }

    /// <summary>Gets the run, as the attention layers see it.</summary>
    public required DenoisingContext Context { get; init; }

    /// <summary>Gets the noise that steps inject.</summary>
    public required NoiseSource Noise { get; init; }

    /// <summary>Gets the noise that an unmodified branch's steps inject; the same numbers as <see cref="Noise"/>.</summary>
    public NoiseSource? BaseNoise { get; init; }

    /// <summary>Gets the model call to begin with.</summary>
    public int BeginIndex { get; init; }

    /// <summary>Gets how much noise DDIM injects.</summary>
    public double Eta { get; init; }

    /// <summary>Joins the negative and positive half of the model's answer; null without guidance.</summary>
    public Func<Tensor, Tensor>? Guide { get; init; }

    /// <summary>Gets the steps that <see cref="Guide"/> is for; in the others the model computes the positive half alone.</summary>
    public required StepRange GuidedSteps { get; init; }

    /// <summary>Gets a value indicating whether the guidance halves come one after the other in steps that have an unmodified
    /// branch.</summary>
    public bool SplitsHalves { get; init; }

    /// <summary>Channels that the model reads after the latents, one row per image (inpainting models).</summary>
    public Tensor? ConditioningChannels { get; init; }

    /// <summary>Keeps a part of the image: takes the latents after a step and the number of the next model call.</summary>
    public Func<Tensor, int, Tensor>? AfterStep { get; init; }

    /// <summary>Gets the story that the run belongs to.</summary>
    public StoryAttention? Story { get; init; }

    /// <summary>Gets what looks at the latents before each step, or replaces some; null for nothing.</summary>
    public IStepEntry? Entry { get; init; }

    /// <summary>Gets the number of first rows that nobody is shown.</summary>
    public int HiddenRows { get; init; }
}

/// <summary>Looks at the latents that enter a step, or replaces some.</summary>
internal interface IStepEntry
{
    /// <param name="step">The model call.</param>
    /// <param name="isBase">Whether they are the unmodified branch's.</param>
    /// <param name="latents">The latents of all rows.</param>
    /// <returns>The latents to go on with: the argument, or others in the caller's dispose scope.</returns>
    Tensor Enter(int step, bool isBase, Tensor latents);

    /// <param name="latents">The final latents of all rows.</param>
    void Leave(Tensor latents)
    {
    }
}

/// <summary>The denoising loop, the same for every model, for single images and for stories.</summary>
internal static class Denoising
{
    // Rows of so many pixels together are quickly computed, and take little memory whatever the model.
    private const long FewPixels = 1 << 19;

    /// <summary>Returns a value indicating whether a step with an unmodified branch computes its guidance halves one after the other, so
    /// that the branch does not double the memory that the run takes: not where that is small, because two calls take longer than one. A
    /// cache decides by halves.</summary>
    public static bool SplitsHalves(long images, int height, int width, bool caches) => caches || images * height * width > FewPixels;

    /// <summary>Runs all steps.</summary>
    /// <param name="predict">The model: sample, timestep, conditions, run → prediction.</param>
    /// <param name="job">What to work on.</param>
    /// <param name="onStep">Called after every step.</param>
    /// <returns>The final latents, in the caller's dispose scope.</returns>
    public static Tensor Run(Func<Tensor, Tensor, PromptEmbeddings, DenoisingContext, Tensor> predict, DenoisingJob job,
        Action<DenoisingStep, TimeSpan> onStep)
    {
        using var scope = NewDisposeScope();
        var clock = Stopwatch.StartNew();
        var count = job.Plan.Timesteps.Length - job.BeginIndex;
        using var modified = new Branch(job, job.Noise);
        Branch? unmodified = null;
        try
        {
            for (var step = 0; step < count; step++)
            {
                job.Context.CancellationToken.ThrowIfCancellationRequested();
                job.Context.Step = step;
                var hasBase = job.Story?.BatchAt(step, count).HasBase ?? false;
                if (!hasBase)
                {
                    unmodified?.Dispose();
                    unmodified = null;
                }
                else if (step == 0)
                {
                    unmodified = new Branch(job, job.BaseNoise
                        ?? throw new InvalidOperationException("An unmodified branch needs noise of its own."));
                }

                if (job.Entry is { } entry)
                {
                    modified.Enter(entry, step, isBase: false);
                    unmodified?.Enter(entry, step, isBase: true);
                }

                var timestep = modified.Run.Timestep;
                Step(predict, job, unmodified is null ? [modified] : [modified, unmodified]);
                job.Story?.CompleteStep();
                using var shown = Shown(modified.Latents);
                using var original = Shown(modified.Original!);
                onStep(new DenoisingStep(step, count, timestep, shown, original), clock.Elapsed);
            }

            job.Entry?.Leave(modified.Latents);
            return (job.HiddenRows == 0 ? modified.Latents : Shown(modified.Latents).clone()).MoveToOuterDisposeScope();
        }
        finally
        {
            unmodified?.Dispose();
        }

        Tensor Shown(Tensor rows) => rows.narrow(0, job.HiddenRows, rows.shape[0] - job.HiddenRows);
    }

    private static void Step(Func<Tensor, Tensor, PromptEmbeddings, DenoisingContext, Tensor> predict, DenoisingJob job, Branch[] branches)
    {
        using var scope = NewDisposeScope();
        var inputs = cat([.. branches.Select(branch => Input(job, branch))], dim: 0);
        var timestep = tensor(branches[0].Run.Timestep, device: inputs.device);
        var guide = job.GuidedSteps.Contains(job.Context.Step, job.Context.Steps) ? job.Guide : null;
        Tensor prediction;
        if (guide is null)
        {
            prediction = predict(inputs, timestep, EmbeddingsFor(job, GuidanceBranch.Conditional, branches.Length), job.Context);
        }
        else if (branches.Length == 1)
        {
            prediction = guide(predict(cat([inputs, inputs], dim: 0), timestep, job.Embeddings, job.Context));
        }
        else if (!job.SplitsHalves)
        {
            prediction = guide(predict(cat([inputs, inputs], dim: 0), timestep, EmbeddingsForHalves(job, branches.Length), job.Context));
        }
        else
        {
            var positive = Half(GuidanceBranch.Conditional);
            prediction = guide(cat([Half(GuidanceBranch.Unconditional), positive], dim: 0));
        }

        var rows = prediction.shape[0] / branches.Length;
        for (var i = 0; i < branches.Length; i++)
        {
            branches[i].Advance(prediction.narrow(0, i * rows, rows), job.AfterStep);
        }

        Tensor Half(GuidanceBranch branch)
        {
            job.Context.Branch = branch;
            var answer = predict(inputs, timestep, EmbeddingsFor(job, branch, branches.Length), job.Context);
            job.Context.Branch = null;
            return answer;
        }
    }

    private static Tensor Input(DenoisingJob job, Branch branch)
    {
        var input = branch.Run.ScaleModelInput(branch.Latents);
        return job.ConditioningChannels is null ? input : cat([input, job.ConditioningChannels], dim: 1);
    }

    /// <summary>The prompts of one guidance branch, once for every branch.</summary>
    private static PromptEmbeddings EmbeddingsFor(DenoisingJob job, GuidanceBranch branch, int branches)
    {
        if (job.Guide is null && branches == 1)
        {
            return job.Embeddings;
        }

        return Rows(job, job.Guide is null || branch == GuidanceBranch.Unconditional ? [0] : [1], branches);
    }

    /// <summary>The prompts of both guidance halves, each once for every branch.</summary>
    private static PromptEmbeddings EmbeddingsForHalves(DenoisingJob job, int branches) => Rows(job, [0, 1], branches);

    private static PromptEmbeddings Rows(DenoisingJob job, long[] halves, int branches)
    {
        var images = job.Latents.shape[0];
        return job.Embeddings.Select(cat([.. halves.SelectMany(half =>
            Enumerable.Repeat(Arithmetic.Arange(half * images, (half + 1) * images, device: job.Latents.device), branches))]));
    }

    /// <summary>Latents on their way through the plan.</summary>
    private sealed class Branch : IDisposable
    {
        public Branch(DenoisingJob job, NoiseSource noise)
        {
            Run = job.Plan.Start(noise, job.BeginIndex, job.Eta);
            Latents = job.Latents.alias();
        }

        public SchedulerRun Run { get; }

        public Tensor Latents { get; private set; }

        /// <summary>Gets the clean latents that the last step predicted; null before the first.</summary>
        public Tensor? Original { get; private set; }

        public void Advance(Tensor prediction, Func<Tensor, int, Tensor>? afterStep)
        {
            using var scope = NewDisposeScope();
            var (next, original) = Run.Step(prediction, Latents);
            if (afterStep is not null)
            {
                next = afterStep(next, Run.Index);
            }

            Replace(next);
            Original?.Dispose();
            Original = original.DetachFromDisposeScope();
        }

        public void Enter(IStepEntry entry, int step, bool isBase)
        {
            using var scope = NewDisposeScope();
            if (entry.Enter(step, isBase, Latents) is var next && !ReferenceEquals(next, Latents))
            {
                Replace(next);
            }
        }

        public void Dispose()
        {
            Original?.Dispose();
            Run.Dispose();
        }

        // The latents outlive the step, in the scope that held the ones before.
        private void Replace(Tensor next)
        {
            next.MoveToOtherDisposeScope(Latents);
            Latents.Dispose();
            Latents = next;
        }
    }
}
