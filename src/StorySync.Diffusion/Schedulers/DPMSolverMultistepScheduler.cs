using StorySync.Diffusion.Schedulers.Tables;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Implements DPM-Solver and DPM-Solver++ as multistep methods, arXiv 2206.00927 and 2211.01095 (diffusers'
/// <c>DPMSolverMultistepScheduler</c>). The <c>sde</c> algorithms inject noise in every step.</summary>
public sealed class DPMSolverMultistepScheduler : DiffusionScheduler
{
    private readonly DPMSolverMultistepSchedulerConfig config;

    /// <summary>Initializes a new instance of the <see cref="DPMSolverMultistepScheduler"/> class.</summary>
    /// <exception cref="ArgumentException">The config contradicts itself or has a value that is not supported.</exception>
    public DPMSolverMultistepScheduler(DPMSolverMultistepSchedulerConfig config)
        : base(config, config.RescaleBetasZeroSnr, finiteSigmas: true)
    {
        this.config = config;
        SigmaSpacing.RequireAtMostOne(config);
        TimeShift.Validate(config);
        Refuse(!config.PredictsOriginal && config.FinalSigmasType == "zero", "'final_sigmas_type' must be sigma_min");
        Refuse(!config.PredictsOriginal && config.PredictionType == "flow_prediction", "'prediction_type' cannot be flow_prediction");
        Refuse(config is { AlgorithmType: "sde-dpmsolver", SolverOrder: 3 }, "'solver_order' cannot be 3");

        void Refuse(bool wrong, string demand)
        {
            if (wrong)
            {
                throw new ArgumentException($"'algorithm_type' is {config.AlgorithmType}, with which {demand}.");
            }
        }
    }

    /// <inheritdoc/>
    public override string PredictionType => config.PredictionType;

    /// <inheritdoc/>
    public override bool UsesFlowSigmas => config.UseFlowSigmas;

    private protected override bool TakesTimesteps => !SigmaSpacing.IsChosen(config) && !config.UseLuLambdas;

    private protected override bool TakesMu => config.UseDynamicShifting;

    private protected override SchedulePlan Plan(ScheduleOptions options)
    {
        var table = TrainSigmas();
        var (sigmas, timesteps) = options.Timesteps is { } own ? At([.. own.Select(t => Math.Truncate(t))], table)
            : SigmaSpacing.IsChosen(config) || config.UseLuLambdas ? Respaced(table, options.Steps!.Value)
            : config.UseFlowSigmas ? Flow(options.Steps!.Value, options.Mu)
            : At(TimestepSpacing.SpreadAboveLowest(config, options.Steps!.Value, Top()), table);

        float[] all = [.. sigmas.Select(s => (float)s), config.FinalSigmasType == "zero" ? 0 : table[0]];
        var levels = config.UseFlowSigmas ? NoiseLevel.OfFlow(all) : NoiseLevel.OfSigmas(all);
        return new SchedulePlan(this, timesteps.Length, [.. timesteps.Select(t => (float)Math.Truncate(t))], all, levels);
    }

    internal override double? MuOf(int imageTokens) => TakesMu ? TimeShift.MuOf(config, imageTokens) : null;

    internal override SchedulerRun Start(SolverStart start) => new DPMSolverRun(config, start);

    private static (double[] Sigmas, double[] Timesteps) At(double[] timesteps, float[] table) =>
        ([.. timesteps.Select(t => NumPy.Interpolate(t, table))], timesteps);

    private (double[] Sigmas, double[] Timesteps) Flow(int steps, double? mu)
    {
        var shift = mu is { } m ? Math.Exp(m) : config.FlowShift;
        var signals = NumPy.LinSpace(1, 1.0 / TrainTimesteps, steps + 1).Skip(1);
        double[] sigmas = [.. signals.Select(s => TimeShift.ByFactor(1 - s, shift)).Reverse()];
        return (sigmas, [.. sigmas.Select(s => s * TrainTimesteps)]);
    }

    private (double[] Sigmas, double[] Timesteps) Respaced(float[] table, int steps)
    {
        double[] logTable = [.. table.Select(s => MathF.Log(s))];
        double[] sigmas = SigmaSpacing.IsChosen(config)
            ? SigmaSpacing.Spread(config, table[^1], table[0], steps)
            : [.. NumPy.LinSpace(0, 1, steps).Select(r => Math.Exp(logTable[^1] + r * (logTable[0] - logTable[^1])))];
        var timesteps = sigmas.Select(s => SigmaSpacing.ToTimestep(s, logTable));
        var rounds = (config.UseKarrasSigmas || config.UseLuLambdas) && config.BetaSchedule != "squaredcos_cap_v2";
        return (sigmas, [.. rounds ? timesteps.Select(t => Math.Round(t)) : timesteps]);
    }

    /// <summary>One above the highest training timestep that is not clipped.</summary>
    private int Top()
    {
        var levels = NoiseLevel.OfAlphas([.. AlphasCumprod]);
        var top = TrainTimesteps;
        while (top > 0 && levels[top - 1].Lambda < (float)config.LambdaMinClipped)
        {
            top--;
        }

        return top > 0 ? top
            : throw new ArgumentException($"'lambda_min_clipped' is {config.LambdaMinClipped}, which clips every training timestep.");
    }
}
