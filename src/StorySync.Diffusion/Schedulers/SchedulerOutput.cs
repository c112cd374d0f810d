using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Represents the output of a step (diffusers' <c>SchedulerOutput</c>). The caller owns both tensors.</summary>
/// <param name="PrevSample">The sample one step less noisy, the input of the next step.</param>
/// <param name="PredOriginalSample">The clean sample that the model predicts from the sample of this step, good for a preview. Where the
/// scheduler works on a limited one (clipping, thresholding) it is that.</param>
public readonly record struct SchedulerOutput(Tensor PrevSample, Tensor PredOriginalSample);
