using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>One generation on its way through a plan of a DPM-Solver.</summary>
internal class DPMSolverRun(DPMSolverMultistepSchedulerConfig config, SolverStart start) : SchedulerRun(start)
{
    private readonly TensorHistory outputs = new(config.SolverOrder);

    private protected override SchedulerOutput Advance(Tensor modelOutput, Tensor sample)
    {
        outputs.Push(Convert(modelOutput, sample));
        var (m0, order) = (outputs[0], Order());
        var step = DPMSolverCoefficients.Of(config, Plan.Level(Index), Plan.Level(Index + 1), order);
        var original = config.PredictsOriginal ? m0
            : Prediction.OriginalSample(config.PredictionType, modelOutput, sample, Plan.Level(Index));

        sample = sample.to(float32);
        var previous = sample.Times(step.Sample).Plus(m0.Times(step.Output));
        if (order == 2)
        {
            previous = previous.Plus((m0 - outputs[1]).Times(1 / Ratio(1)).Times(step.First));
        }
        else if (order == 3)
        {
            var (r0, r1) = (Ratio(1), Ratio(2));
            var newer = (m0 - outputs[1]).Times(1 / r0);
            var older = (outputs[1] - outputs[2]).Times(1 / r1);
            previous = previous.Plus(newer.Plus((newer - older).Times(r0 / (r0 + r1))).Times(step.First));
            previous = previous.Plus((newer - older).Times(1 / (r0 + r1)).Times(step.Second));
        }

        if (config.IsStochastic)
        {
            previous = previous.Plus(DrawNoise(sample).Times(step.Noise));
        }

        return new SchedulerOutput(previous.to(m0.dtype), original.alias());
    }

    /// <summary>The clean sample that the model's answer says.</summary>
    private protected virtual Tensor Clean(Tensor modelOutput, Tensor sample) => config.PredictionType == "flow_prediction"
        ? sample - modelOutput.Times(Plan.Sigmas[Index])
        : Prediction.OriginalSample(config.PredictionType, modelOutput, sample, Plan.Level(Index));

    private int Order()
    {
        var (count, few) = (Plan.Timesteps.Length, Plan.Timesteps.Length < 15);
        var endsEuler = config.EulerAtFinal || (config.LowerOrderFinal && few) || config.FinalSigmasType == "zero";
        var most = Index == count - 1 && endsEuler ? 1 : Index == count - 2 && config.LowerOrderFinal && few ? 2 : config.SolverOrder;
        return Math.Min(most, outputs.Count);
    }

    /// <summary>The length in λ of the step <paramref name="age"/> steps ago, in units of the present one's.</summary>
    private float Ratio(int age) => (Lambda(Index - age + 1) - Lambda(Index - age)) / (Lambda(Index + 1) - Lambda(Index));

    private float Lambda(int index) => Plan.Level(index).Lambda;

    private Tensor Convert(Tensor modelOutput, Tensor sample)
    {
        var level = Plan.Level(Index);
        if (config.PredictsOriginal)
        {
            var original = Clean(modelOutput, sample);
            return config.Thresholding ? Threshold(original) : original;
        }

        var epsilon = Prediction.Epsilon(config.PredictionType, modelOutput, sample, level);
        return config.Thresholding
            ? (sample - Threshold((sample - epsilon.Times(level.Noise)).Over(level.Signal)).Times(level.Signal)).Over(level.Noise)
            : epsilon;
    }

    private Tensor Threshold(Tensor original) =>
        SampleClipping.Threshold(original, config.DynamicThresholdingRatio, config.SampleMaxValue);

    private protected override void DisposeCore() => outputs.Dispose();
}
