using StorySync.Diffusion.Schedulers.Tables;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Implements pseudo numerical methods for diffusion models, arXiv 2202.09778 (diffusers' <c>PNDMScheduler</c>): a
/// linear multistep method of order 4, started by three Runge-Kutta steps of four model calls each, or by lower orders.</summary>
public sealed class PNDMScheduler : DiffusionScheduler
{
    private const int MultistepOrder = 4;
    private const int RungeKuttaCalls = 12;
    private readonly PNDMSchedulerConfig config;

    /// <summary>Initializes a new instance of the <see cref="PNDMScheduler"/> class.</summary>
    /// <exception cref="ArgumentException">The config has a value that is not supported.</exception>
    public PNDMScheduler(PNDMSchedulerConfig config)
        : base(config) => this.config = config;

    /// <inheritdoc/>
    public override string PredictionType => config.PredictionType;

    private protected override SchedulePlan Plan(ScheduleOptions options)
    {
        var steps = options.Steps!.Value;
        var spread = TimestepSpacing.SpreadRounded(config, steps);
        return PlanAt(steps, config.SkipPrkSteps ? RepeatSecond(spread) : [.. RungeKutta(spread, steps), .. spread.Skip(3)]);
    }

    /// <summary>The first multistep step is made twice, the second time with the slope at its end.</summary>
    private static double[] RepeatSecond(double[] spread) => spread.Length < 2 ? spread : [.. spread[..2], .. spread[1..]];

    /// <summary>Each Runge-Kutta step asks at its start, twice in its middle, and at its end.</summary>
    private IEnumerable<double> RungeKutta(double[] spread, int steps)
    {
        if (spread.Length < MultistepOrder)
        {
            throw new ArgumentException(
                $"PNDM with Runge-Kutta steps needs at least {MultistepOrder} steps, not {steps}. Take more, or set 'skip_prk_steps'.");
        }

        var half = TrainTimesteps / steps / 2;
        for (var i = 0; i < MultistepOrder - 1; i++)
        {
            yield return spread[i];
            yield return spread[i + 1] + half;
            yield return spread[i + 1] + half;
            yield return spread[i + 1];
        }
    }

    internal override SchedulerRun Start(SolverStart start) => new Solver(this, start);

    private sealed class Solver(PNDMScheduler scheduler, SolverStart start) : SchedulerRun(start)
    {
        private readonly PNDMSchedulerConfig config = scheduler.config;
        private readonly TensorHistory slopes = new(MultistepOrder);
        private readonly TensorHistory stepStart = new(1);
        private readonly TensorHistory slopeSum = new(1);

        private int Spacing => scheduler.TrainTimesteps / Plan.Steps;

        private protected override SchedulerOutput Advance(Tensor modelOutput, Tensor sample) =>
            new(
                !config.SkipPrkSteps && Calls < RungeKuttaCalls ? RungeKutta(modelOutput, sample) : Multistep(modelOutput, sample),
                Prediction.OriginalSample(config.PredictionType, modelOutput, sample, Plan.Level(Index)));

        private Tensor RungeKutta(Tensor modelOutput, Tensor sample)
        {
            var call = Calls % 4;
            var to = (int)Timestep - (Calls % 2 == 0 ? Spacing / 2 : 0);
            var from = (int)Plan.Timesteps[Calls - call];
            if (call == 0)
            {
                slopes.Push(modelOutput);
                stepStart.Push(sample);
            }

            // Simpson's weights.
            var weighted = modelOutput.Times(call is 0 or 3 ? 1.0 / 6 : 1.0 / 3);
            var sum = call == 0 ? weighted : slopeSum[0].Plus(weighted);
            slopeSum.Push(sum);
            return Transfer(stepStart[0], from, to, call == 3 ? sum : modelOutput);
        }

        private Tensor Multistep(Tensor modelOutput, Tensor sample)
        {
            var (from, to) = ((int)Timestep, (int)Timestep - Spacing);
            var repeatsFirst = config.SkipPrkSteps && Calls == 1;
            if (repeatsFirst)
            {
                (from, to) = (from + Spacing, from);
            }
            else
            {
                slopes.Push(modelOutput);
            }

            if (config.SkipPrkSteps && Calls == 0)
            {
                stepStart.Push(sample);
            }

            var slope = slopes.Count switch
            {
                1 when repeatsFirst => modelOutput.Plus(slopes[0]).Over(2),
                1 => modelOutput,
                2 => (slopes[0].Times(3) - slopes[1]).Over(2),
                3 => (slopes[0].Times(23) - slopes[1].Times(16)).Plus(slopes[2].Times(5)).Over(12),
                _ => ((slopes[0].Times(55) - slopes[1].Times(59)).Plus(slopes[2].Times(37)) - slopes[3].Times(9)).Times(1.0 / 24),
            };
            return Transfer(repeatsFirst ? stepStart[0] : sample, from, to, slope);
        }

        /// <summary>Equation 9 of the paper, brought into a form that is exact at the ends.</summary>
        private Tensor Transfer(Tensor sample, int from, int to, Tensor output)
        {
            var (alpha, alphaTo) = (Alpha(from), to >= 0 ? Alpha(to) : config.SetAlphaToOne ? 1 : Alpha(0));
            var epsilon = Prediction.Epsilon(config.PredictionType, output, sample, NoiseLevel.OfAlphas([alpha])[0]);
            var denominator = alpha * TorchMath.Sqrt(1 - alphaTo) + TorchMath.Sqrt(alpha * (1 - alpha) * alphaTo);
            return sample.Times(TorchMath.Sqrt(alphaTo / alpha)) - epsilon.Times(alphaTo - alpha).Over(denominator);
        }

        private float Alpha(int timestep) => timestep < scheduler.TrainTimesteps
            ? scheduler.AlphasCumprod[timestep]
            : throw new ArgumentException(
                $"PNDM steps from timestep {timestep}, but the model was trained on 0 … {scheduler.TrainTimesteps - 1}. "
                + "Take fewer steps, a smaller 'steps_offset' or another 'timestep_spacing'.");

        private protected override void DisposeCore()
        {
            slopes.Dispose();
            stepStart.Dispose();
            slopeSum.Dispose();
        }
    }
}
