using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Schedulers.Tables;

/// <summary>
/// Functions of host numbers, computed by torch. Its float32 results need not be the nearest ones, as .NET's are, and a step can
/// subtract numbers so close that the last bit shows.
/// </summary>
internal static class TorchMath
{
    public static float[] Sqrt(IEnumerable<float> values) => Map(values, x => x.sqrt());

    public static float[] Log(IEnumerable<float> values) => Map(values, x => x.log());

    public static float Sqrt(float value) => Sqrt([value])[0];

    public static float Log(float value) => Log([value])[0];

    public static float Exp(float value) => Map([value], x => x.exp())[0];

    /// <summary>exp(x) − 1 without the loss of digits near 0.</summary>
    public static float ExpM1(float value) => Map([value], x => x.expm1())[0];

    private static float[] Map(IEnumerable<float> values, Func<Tensor, Tensor> function)
    {
        using var scope = NewDisposeScope();
        return function(tensor(values.ToArray())).data<float>().ToArray();
    }
}
