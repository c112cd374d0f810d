using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>A part of a model, as a memory plan sees it.</summary>
/// <param name="Name">Its folder.</param>
/// <param name="Module">The part.</param>
/// <param name="Stage">When it works.</param>
/// <remarks>Its weights are counted when it is made: while it runs, they come and go.</remarks>
internal sealed record ModelPart(string Name, nn.Module Module, GenerationStage Stage)
{
    private readonly ILookup<string, long> countsByBlock = ModuleTensors.ParametersOf(Module)
        .ToLookup(p => BlockOf(p.Name), p => p.Count);

    /// <summary>Gets a value indicating whether it computes in float32 where the others compute in float16.</summary>
    public bool NeedsFloat32 { get; init; }

    /// <summary>Returns the type that it computes in when the model computes in <paramref name="dtype"/>.</summary>
    public ScalarType DtypeFor(ScalarType dtype) => NeedsFloat32 && dtype == ScalarType.Float16 ? ScalarType.Float32 : dtype;

    /// <summary>Returns the bytes of all weights in a type.</summary>
    public long Bytes(ScalarType dtype) => countsByBlock.Sum(block => block.Sum()) * dtype.ElementSize();

    /// <summary>Returns the bytes of all weights where the CPU computes: some layers keep half-precision weights as they are
    /// stored.</summary>
    /// <param name="dtype">The type that it computes in.</param>
    /// <param name="rounded">Whether weights are rounded to 8 bits when they are loaded.</param>
    public long HostBytes(ScalarType dtype, bool rounded) => Bytes(dtype) - (dtype == ScalarType.Float32
        ? Module.modules().OfType<WeightedLayer>().Sum(layer => rounded ? layer.SavedBytesRounded : layer.SavedBytes) : 0);

    /// <summary>Returns the bytes of the mapped files' blocks, which are in memory only while the part works.</summary>
    public long MappedBlockBytes() => Module.modules().OfType<WeightedLayer>().Sum(layer => layer.Storage.MappedBlockBytes);

    /// <summary>Returns the bytes that are on the device while blocks come and go: all but the blocks, and the largest block.</summary>
    public long StreamedBytes(ScalarType dtype) =>
        (countsByBlock[""].Sum() + countsByBlock.Where(block => block.Key.Length > 0).Select(block => block.Sum()).DefaultIfEmpty().Max())
            * dtype.ElementSize();

    private static string BlockOf(string name) => name.Split('.') is [var list, var number, ..]
        && list.EndsWith("transformer_blocks", StringComparison.Ordinal) ? $"{list}.{number}" : "";
}

internal static class ScalarTypeSize
{
    public static int ElementSize(this ScalarType dtype) => dtype == ScalarType.Float32 ? 4 : 2;
}
