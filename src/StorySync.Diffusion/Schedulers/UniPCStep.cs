using StorySync.Diffusion.Schedulers.Tables;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers;

/// <summary>The factors of one step of UniPC (algorithms 5 … 8 of arXiv 2302.04867), in float32 as diffusers computes them.</summary>
internal sealed class UniPCStep
{
    private readonly int order;
    private readonly float[,] powers;
    private readonly float[] targets;

    /// <param name="config">Chooses the variant.</param>
    /// <param name="order">The number of model outputs in use.</param>
    /// <param name="level">The noise level by position: 1 where the step ends, 0 where it begins, −1 and so on the steps before.</param>
    public UniPCStep(UniPCMultistepSchedulerConfig config, int order, Func<int, NoiseLevel> level)
    {
        this.order = order;
        var (from, to) = (level(0), level(1));
        var h = to.Lambda - from.Lambda;
        Ratios = [.. Enumerable.Range(1, order - 1).Select(i => (level(-i).Lambda - from.Lambda) / h), 1];

        var hh = config.PredictX0 ? -h : h;
        var phi = TorchMath.ExpM1(hh);
        var b = config.SolverType == "bh1" ? hh : phi;
        var scale = config.PredictX0 ? to.Signal : to.Noise;
        Sample = config.PredictX0 ? to.Noise / from.Noise : to.Signal / from.Signal;
        Output = -(scale * phi);
        Difference = -(scale * b);

        powers = new float[order, order];
        targets = new float[order];
        var (phiK, factorial) = (phi / hh - 1, 1);
        for (var row = 0; row < order; row++)
        {
            for (var column = 0; column < order; column++)
            {
                powers[row, column] = MathF.Pow(Ratios[column], row);
            }

            targets[row] = phiK * factorial / b;
            factorial *= row + 2;
            phiK = phiK / hh - 1f / factorial;
        }
    }

    /// <summary>Gets the lengths in λ back to the earlier model outputs, in units of this step's; then 1 for its end.</summary>
    public float[] Ratios { get; }

    /// <summary>Gets the factor of the sample.</summary>
    public float Sample { get; }

    /// <summary>Gets the factor of the newest model output.</summary>
    public float Output { get; }

    /// <summary>Gets the factor of the weighted difference quotients.</summary>
    public float Difference { get; }

    /// <summary>Returns the weights of the earlier outputs' difference quotients.</summary>
    public float[] PredictorWeights() => order == 2 ? [0.5f] : Solve(order - 1);

    /// <summary>As <see cref="PredictorWeights"/>, and after them the weight of the output at the step's end.</summary>
    public float[] CorrectorWeights() => order == 1 ? [0.5f] : Solve(order);

    private float[] Solve(int size)
    {
        using var scope = NewDisposeScope();
        return linalg.solve(tensor(powers)[..size, ..size], tensor(targets)[..size]).data<float>().ToArray();
    }
}
