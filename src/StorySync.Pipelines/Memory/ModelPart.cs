using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>A part of a model, as a memory plan sees it.</summary>
/// <param name="Name">Its folder.</param>
/// <param name="Module">The part.</param>
/// <param name="Stage">When it works.</param>
internal sealed record ModelPart(string Name, nn.Module Module, GenerationStage Stage)
{
    /// <summary>Gets a value indicating whether it computes in float32 where the others compute in float16.</summary>
    public bool NeedsFloat32 { get; init; }

    /// <summary>The type that it computes in when the model computes in <paramref name="dtype"/>.</summary>
    public ScalarType DtypeFor(ScalarType dtype) => NeedsFloat32 && dtype == ScalarType.Float16 ? ScalarType.Float32 : dtype;

    /// <summary>The bytes of all weights in a type.</summary>
    public long Bytes(ScalarType dtype) => ModuleTensors.ParametersOf(Module).Sum(p => p.Count) * dtype.ElementSize();

    /// <summary>The bytes of all weights where the CPU computes: some layers keep half-precision weights as they are stored.</summary>
    public long HostBytes(ScalarType dtype) =>
        Bytes(dtype) - (dtype == ScalarType.Float32 ? Module.modules().OfType<WeightedLayer>().Sum(layer => layer.SavedBytes) : 0);

    /// <summary>The bytes that are on the device while blocks come and go: all but the blocks, and the largest block.</summary>
    public long StreamedBytes(ScalarType dtype)
    {
        var blocks = ModuleTensors.ParametersOf(Module)
            .GroupBy(p => p.Name.Split('.') is [var list, var number, ..]
                && list.EndsWith("transformer_blocks", StringComparison.Ordinal) ? $"{list}.{number}" : "")
            .Select(group => (IsBlock: group.Key.Length > 0, Values: group.Sum(p => p.Count))).ToList();
        return (blocks.Where(b => !b.IsBlock).Sum(b => b.Values)
            + blocks.Where(b => b.IsBlock).Select(b => b.Values).DefaultIfEmpty().Max()) * dtype.ElementSize();
    }
}

internal static class ScalarTypeSize
{
    public static int ElementSize(this ScalarType dtype) => dtype == ScalarType.Float32 ? 4 : 2;
}
