using StorySync.Kernels;
using TorchSharp;
using static StorySync.Kernels.Lifetimes;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>From a subject's cross-attention maps to its mask.</summary>
internal static class SubjectMask
{
    /// <summary>Averages maps over layers and heads, scales the average to [0, 1] and cuts it by Otsu's threshold.</summary>
    /// <param name="maps">Attention to the subject's tokens, averaged over them, (layers, heads, height, width).</param>
    /// <returns>The scaled map and the mask (bool), both (height, width).</returns>
    public static (Tensor Map, Tensor Mask) FromMaps(Tensor maps)
    {
        ArgumentNullException.ThrowIfNull(maps);
        using var scope = NewDisposeScope();
        var map = Scale(maps.mean([0, 1]));
        return (map.MoveToOuterDisposeScope(), Threshold(map).MoveToOuterDisposeScope());
    }

    /// <summary>Scales every map to [0, 1]; a constant one becomes all zero.</summary>
    /// <param name="maps">Maps, (…, height, width).</param>
    public static Tensor Scale(Tensor maps)
    {
        ArgumentNullException.ThrowIfNull(maps);
        using var scope = NewDisposeScope();
        var low = maps.amin([-2, -1], keepdim: true);
        var span = maps.amax([-2, -1], keepdim: true) - low;
        return where(span.GreaterThan(0), (maps - low) / span, zeros_like(maps)).MoveToOuterDisposeScope();
    }

    /// <summary>Cuts every map by its own Otsu threshold.</summary>
    /// <param name="maps">Maps with values in [0, 1], (…, height, width).</param>
    /// <returns>The masks, bool, of the maps' shape.</returns>
    public static Tensor Threshold(Tensor maps)
    {
        ArgumentNullException.ThrowIfNull(maps);
        return Scoped(() => maps.gt(Otsu.Threshold(maps.flatten(-2)).unsqueeze(-1).unsqueeze(-1)));
    }

    /// <summary>Gives each token to one subject: of those whose mask holds it, the one with the largest map, the first if several
    /// are equal.</summary>
    /// <param name="maps">Scaled maps, (…, subjects, height, width).</param>
    /// <param name="masks">Their masks, bool, of the same shape.</param>
    /// <returns>Masks that do not overlap, bool, of the same shape.</returns>
    public static Tensor Exclusive(Tensor maps, Tensor masks)
    {
        ArgumentNullException.ThrowIfNull(maps);
        ArgumentNullException.ThrowIfNull(masks);
        using var scope = NewDisposeScope();
        var winner = maps.MaskedFill(masks.logical_not(), -1).argmax(-3, keepdim: true);
        var subjects = Arithmetic.Arange(0, maps.shape[^3], device: maps.device).view(-1, 1, 1);
        return masks.logical_and(winner.eq(subjects)).MoveToOuterDisposeScope();
    }
}
