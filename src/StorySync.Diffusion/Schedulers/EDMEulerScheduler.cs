using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>Implements Euler's method on the probability flow ODE of EDM (arXiv 2206.00364, algorithm 2 without churn; diffusers'
/// <c>EDMEulerScheduler</c>).</summary>
/// <param name="config">The config.</param>
/// <exception cref="ArgumentException">The config contradicts itself or has a value that is not supported.</exception>
public sealed class EDMEulerScheduler(EDMEulerSchedulerConfig config) : EDMScheduler(config)
{
    private readonly EDMEulerSchedulerConfig config = config;

    internal override SchedulerRun Start(SolverStart start) => new Solver(config, start);

    private sealed class Solver(EDMEulerSchedulerConfig config, SolverStart start) : SchedulerRun(start)
    {
        private protected override SchedulerOutput Advance(Tensor modelOutput, Tensor sample)
        {
            var (sigma, next) = (Plan.Sigmas[Index], Plan.Sigmas[Index + 1]);
            sample = sample.to(float32);
            var original = Original(config, modelOutput, sample, sigma);
            var derivative = (sample - original).Over(sigma);
            return new SchedulerOutput(sample.Plus(derivative.Times(next - sigma)).to(modelOutput.dtype), original);
        }
    }
}
