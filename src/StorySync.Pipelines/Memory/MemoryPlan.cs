using System.Globalization;
using System.Text;
using StorySync.Diffusion.Weights;

namespace StorySync.Pipelines;

/// <summary>Represents the memory that a run will take, computed from the model's configuration and the size of the run, before any
/// work.</summary>
/// <remarks>
/// The weights are exact. Activations come from formulas for each model's largest moment, which tests hold against what a run takes; on
/// the CPU they are within a quarter of it. A process needs some more of its own: .NET and libtorch take about 200 MB, and the C
/// library keeps some of what was freed. A CUDA device keeps several hundred megabytes for its context and libraries. Pages of the
/// weights' files that were read can be in RAM in addition; the system drops them when it needs room.
/// </remarks>
public sealed record MemoryPlan
{
    /// <summary>Gets the device that computes, as <see cref="PipelineOptions.Device"/> names it.</summary>
    public required string Device { get; init; }

    /// <summary>Gets the model's parts.</summary>
    public required IReadOnlyList<WeightMemory> Weights { get; init; }

    /// <summary>Gets what the run does, one after the other.</summary>
    public required IReadOnlyList<StageMemory> Stages { get; init; }

    /// <summary>Gets the number of bytes on the host in addition to those on the device that computes; 0 where that is the host
    /// itself.</summary>
    public required long HostBytes { get; init; }

    /// <summary>Gets what would make it less, with what it would then be: first what leaves the images as they are, last what changes them
    /// most.</summary>
    public required IReadOnlyList<MemoryAdvice> Advice { get; init; }

    /// <summary>Gets the most bytes that the bank of a story with anchors takes on the host, with portraits uncompressed and masks on the
    /// finest grid; 0 for what makes no bank. They are not in <see cref="PeakBytes"/>. A bank of <see cref="StoryBankForm.Keys"/> takes
    /// them, but for its portraits and masks, in the folder of temporary files; as many if the subjects fill the anchors, a fifth if they
    /// fill a fifth.</summary>
    public long BankBytes { get; init; }

    /// <summary>Gets the most bytes at one time on the device that computes.</summary>
    public long PeakBytes => Stages.Max(stage => stage.Bytes);

    /// <summary>Returns a value indicating whether the run has room.</summary>
    /// <param name="availableBytes">Bytes that are free on the device that computes, with what the loaded weights take there.</param>
    public bool Fits(long availableBytes) => PeakBytes <= availableBytes;

    /// <summary>Returns the plan in lines of text.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        var host = HostBytes > 0 ? $", {ByteSize.Text(HostBytes)} in addition on the host" : "";
        Line($"{ByteSize.Text(PeakBytes)} at most on {Device}{host}");
        foreach (var part in Weights)
        {
            Line($"  {part.Part}: {ByteSize.Text(part.Bytes)}");
        }

        foreach (var stage in Stages)
        {
            var activations = ByteSize.Text(stage.ActivationBytes);
            Line($"  {stage.Stage}: {ByteSize.Text(stage.Bytes)}, of which {activations} activations ({stage.Largest})");
        }

        if (BankBytes > 0)
        {
            Line($"  bank: {ByteSize.Text(BankBytes)} at most on the host");
        }

        foreach (var advice in Advice)
        {
            Line($"  {advice.Change}: {ByteSize.Text(advice.SavedBytes)} less");
        }

        return text.ToString().TrimEnd();

        void Line(FormattableString line) => text.AppendLine(line.ToString(CultureInfo.InvariantCulture));
    }
}

/// <summary>Represents the weights of a part of the model.</summary>
/// <param name="Part">The part, by its folder: <c>unet</c>, <c>vae</c>.</param>
/// <param name="Bytes">What they take, in the type that is computed in; with <see cref="PipelineOptions.StreamBlocks"/> what is there at
/// one time.</param>
public sealed record WeightMemory(string Part, long Bytes);

/// <summary>Represents the memory that a stage of the run takes on the device that computes.</summary>
/// <param name="Stage">The stage.</param>
/// <param name="WeightBytes">Weights that are there then.</param>
/// <param name="ActivationBytes">Tensors of the run at the stage's largest moment.</param>
/// <param name="Largest">Which moment that is.</param>
public sealed record StageMemory(GenerationStage Stage, long WeightBytes, long ActivationBytes, string Largest)
{
    /// <summary>Gets the sum of both.</summary>
    public long Bytes => WeightBytes + ActivationBytes;
}

/// <summary>Represents a change that reduces the required memory.</summary>
/// <param name="Change">What to change, by the name of the option.</param>
/// <param name="PeakBytes">The peak with this change alone.</param>
/// <param name="SavedBytes">How much less that is.</param>
public sealed record MemoryAdvice(string Change, long PeakBytes, long SavedBytes);
