using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>What a step gives (diffusers' <c>SchedulerOutput</c>). The caller owns both tensors.</summary>
/// <param name="PrevSample">The sample one step less noisy, the input of the next step.</param>
/// <param name="PredOriginalSample">The clean sample that the step predicts, good for a preview; null where the scheduler predicts
/// none.</param>
public readonly record struct SchedulerOutput(Tensor PrevSample, Tensor? PredOriginalSample = null);
