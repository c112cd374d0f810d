using StorySync.Diffusion.Schedulers.Tables;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Implements the unified predictor-corrector, arXiv 2302.04867 (diffusers' <c>UniPCMultistepScheduler</c>): each model
/// call first corrects the step that led to it, then predicts the next.</summary>
public sealed class UniPCMultistepScheduler : DiffusionScheduler
{
    private readonly UniPCMultistepSchedulerConfig config;

    /// <summary>Initializes a new instance of the <see cref="UniPCMultistepScheduler"/> class.</summary>
    /// <exception cref="ArgumentException">The config contradicts itself or has a value that is not supported.</exception>
    public UniPCMultistepScheduler(UniPCMultistepSchedulerConfig config)
        : base(config, config.RescaleBetasZeroSnr, finiteSigmas: true)
    {
        this.config = config;
        SigmaSpacing.RequireAtMostOne(config);
        TimeShift.Validate(config);
        if (config.ShiftTerminal is not null && !config.UseFlowSigmas)
        {
            throw new ArgumentException("'shift_terminal' is set, which needs 'use_flow_sigmas'.");
        }

        if (config is { PredictX0: false, PredictionType: "flow_prediction" } or { PredictX0: false, Thresholding: true })
        {
            throw new ArgumentException(
                "'predict_x0' is false, with which 'prediction_type' cannot be flow_prediction, nor 'thresholding' true.");
        }
    }

    /// <inheritdoc/>
    public override string PredictionType => config.PredictionType;

    /// <inheritdoc/>
    public override bool UsesFlowSigmas => config.UseFlowSigmas;

    private protected override bool TakesSigmas => config.UseFlowSigmas;

    private protected override bool TakesMu => true;

    private protected override SchedulePlan Plan(ScheduleOptions options)
    {
        var table = TrainSigmas();
        var steps = options.Sigmas?.Count ?? options.Steps!.Value;
        double[] sigmas;
        double[] timesteps;
        var last = table[0];
        if (SigmaSpacing.IsChosen(config))
        {
            (sigmas, timesteps) = Respaced(options.Sigmas, table, steps);
            last = (float)sigmas[^1];
        }
        else if (config.UseFlowSigmas)
        {
            sigmas = Flow(options.Sigmas ?? NumPy.LinSpace(1, 1.0 / TrainTimesteps, steps + 1)[..^1], options.Mu);
            timesteps = [.. sigmas.Select(s => s * TrainTimesteps)];
            last = (float)sigmas[^1];
        }
        else
        {
            timesteps = TimestepSpacing.SpreadAboveLowest(config, steps, TrainTimesteps);
            sigmas = [.. timesteps.Select(t => NumPy.Interpolate(t, table))];
        }

        float[] all = [.. sigmas.Select(s => (float)s), config.FinalSigmasType == "zero" ? 0 : last];
        var levels = config.UseFlowSigmas ? NoiseLevel.OfFlow(all) : NoiseLevel.OfSigmas(all);
        return new SchedulePlan(this, timesteps.Length, [.. timesteps.Select(t => (float)Math.Truncate(t))], all, levels);
    }

    internal override double? MuOf(int imageTokens) => TimeShift.MuOf(config, imageTokens);

    internal override SchedulerRun Start(SolverStart start) => new Solver(config, start);

    private (double[] Sigmas, double[] Timesteps) Respaced(IReadOnlyList<double>? given, float[] table, int steps)
    {
        // Where a sigma lies exactly on one of the source, its timestep hangs on the last bit: numpy computes given values in float64.
        IReadOnlyList<double> source = given ?? [.. table];
        double[] logs = given is null ? [.. table.Select(s => MathF.Log(s))] : [.. given.Select(s => Math.Log(s))];
        var sigmas = SigmaSpacing.Spread(config, config.SigmaMax ?? source[^1], config.SigmaMin ?? source[0], steps);
        if (config is { UseKarrasSigmas: true, UseFlowSigmas: true })
        {
            sigmas = [.. sigmas.Select(s => s / (s + 1))];
            return (sigmas, [.. sigmas.Select(s => s * TrainTimesteps)]);
        }

        var timesteps = sigmas.Select(s => SigmaSpacing.ToTimestep(s, logs));
        return (sigmas, [.. config.UseKarrasSigmas ? timesteps.Select(t => Math.Round(t)) : timesteps]);
    }

    private double[] Flow(IReadOnlyList<double> sigmas, double? mu)
    {
        double[] shifted = config.UseDynamicShifting
            ? [.. sigmas.Select(s => TimeShift.ByMu(s, TimeShift.RequireMu(mu), config.TimeShiftType))]
            : [.. sigmas.Select(s => TimeShift.ByFactor(s, config.FlowShift))];
        if (config.ShiftTerminal is { } terminal and not 0)
        {
            TimeShift.StretchTo(shifted, terminal);
        }

        // At exactly 1 there is no signal, and its logarithm is infinite.
        const double Epsilon = 1e-6;
        if (Math.Abs(shifted[0] - 1) < Epsilon)
        {
            shifted[0] -= Epsilon;
        }

        return shifted;
    }

    private sealed class Solver(UniPCMultistepSchedulerConfig config, SolverStart start) : SchedulerRun(start)
    {
        private readonly TensorHistory outputs = new(config.SolverOrder);
        private readonly TensorHistory lastSample = new(1);
        private int order;

        private protected override SchedulerOutput Advance(Tensor modelOutput, Tensor sample)
        {
            var output = Convert(modelOutput, sample);
            var original = config.PredictX0 ? output
                : Prediction.OriginalSample(config.PredictionType, modelOutput, sample, Plan.Level(Index));
            if (lastSample.Count > 0 && !config.DisableCorrector.Contains(Index - 1))
            {
                sample = Correct(output);
            }

            outputs.Push(output);
            lastSample.Push(sample);
            var most = config.LowerOrderFinal ? Math.Min(config.SolverOrder, Plan.Timesteps.Length - Index) : config.SolverOrder;
            order = Math.Min(most, outputs.Count);
            return new SchedulerOutput(Predict(sample), original);
        }

        /// <summary>The end of the step from this model call to the next.</summary>
        private Tensor Predict(Tensor sample)
        {
            var step = Step(Index);
            var previous = sample.Times(step.Sample).Plus(outputs[0].Times(step.Output));
            return order == 1 ? previous : previous.Plus(Weighted(step, step.PredictorWeights()).Times(step.Difference)).to(sample.dtype);
        }

        /// <summary>The end of the last step, now that the model was asked there.</summary>
        private Tensor Correct(Tensor output)
        {
            var step = Step(Index - 1);
            var weights = step.CorrectorWeights();
            var difference = (output - outputs[0]).Times(weights[^1]);
            if (order > 1)
            {
                difference = Weighted(step, weights).Plus(difference);
            }

            return lastSample[0].Times(step.Sample)
                .Plus(outputs[0].Times(step.Output))
                .Plus(difference.Times(step.Difference))
                .to(output.dtype);
        }

        private Tensor Weighted(UniPCStep step, float[] weights)
        {
            var sum = (outputs[1] - outputs[0]).Over(step.Ratios[0]).Times(weights[0]);
            for (var i = 1; i < order - 1; i++)
            {
                sum = sum.Plus((outputs[i + 1] - outputs[0]).Over(step.Ratios[i]).Times(weights[i]));
            }

            return sum;
        }

        private UniPCStep Step(int from) => new(config, order, age => Plan.Level(from + age));

        private Tensor Convert(Tensor modelOutput, Tensor sample)
        {
            var level = Plan.Level(Index);
            if (!config.PredictX0)
            {
                return Prediction.Epsilon(config.PredictionType, modelOutput, sample, level);
            }

            var original = config.PredictionType == "flow_prediction" ? sample - modelOutput.Times(Plan.Sigmas[Index])
                : Prediction.OriginalSample(config.PredictionType, modelOutput, sample, level);
            return config.Thresholding
                ? SampleClipping.Threshold(original, config.DynamicThresholdingRatio, config.SampleMaxValue)
                : original;
        }

        private protected override void DisposeCore()
        {
            outputs.Dispose();
            lastSample.Dispose();
        }
    }
}
