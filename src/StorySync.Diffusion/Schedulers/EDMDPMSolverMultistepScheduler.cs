using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Implements DPM-Solver++ as a multistep method (arXiv 2211.01095) on EDM's noise levels (diffusers'
/// <c>EDMDPMSolverMultistepScheduler</c>). The <c>sde</c> algorithm injects noise in every step.</summary>
public sealed class EDMDPMSolverMultistepScheduler : EDMScheduler
{
    private readonly EDMDPMSolverMultistepSchedulerConfig config;

    /// <summary>Initializes a new instance of the <see cref="EDMDPMSolverMultistepScheduler"/> class.</summary>
    /// <param name="config">The config.</param>
    /// <exception cref="ArgumentException">The config contradicts itself or has a value that is not supported.</exception>
    public EDMDPMSolverMultistepScheduler(EDMDPMSolverMultistepSchedulerConfig config)
        : base(config)
    {
        this.config = config;
        if (config is { AlgorithmType: "sde-dpmsolver++", SolverOrder: 3 })
        {
            throw new ArgumentException("'algorithm_type' is sde-dpmsolver++, with which 'solver_order' cannot be 3.");
        }
    }

    internal override SchedulerRun Start(SolverStart start) => new Solver(config, start);

    private sealed class Solver(EDMDPMSolverMultistepSchedulerConfig config, SolverStart start) : DPMSolverRun(config.Solver, start)
    {
        private protected override Tensor Clean(Tensor modelOutput, Tensor sample) =>
            Original(config, modelOutput, sample, Plan.Sigmas[Index]);
    }
}
