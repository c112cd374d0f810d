using System.Security.Cryptography;
using System.Text;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>Tells checkpoints apart without reading them whole: names, types and shapes of all tensors, and a few values from the midst of
/// each.</summary>
internal static class WeightSample
{
    private const long ValuesOfATensor = 16;

    /// <summary>Adds a checkpoint to a hash.</summary>
    /// <param name="hash">The hash.</param>
    /// <param name="source">The checkpoint.</param>
    public static void Append(IncrementalHash hash, ITensorSource source)
    {
        foreach (var (name, info) in source.Tensors.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            using var scope = NewDisposeScope();
            hash.AppendData(Encoding.UTF8.GetBytes(info.ToString()));
            var values = source.Read(name).view(-1);
            var count = Math.Min(ValuesOfATensor, values.NumberOfElements);
            hash.AppendData(values.narrow(0, (values.NumberOfElements - count) / 2, count).bytes);
        }
    }
}
