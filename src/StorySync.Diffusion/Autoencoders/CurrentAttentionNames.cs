using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.Autoencoders;

/// <summary>An autoencoder's checkpoint under the names of today. Files from the time of Stable Diffusion 1.5 call the projections of
/// an attention <c>query</c>, <c>key</c>, <c>value</c> and <c>proj_attn</c>, and some hold them as 1 × 1 convolutions.</summary>
internal static class CurrentAttentionNames
{
    private static readonly Dictionary<string, string> Renamed = new(StringComparer.Ordinal)
    {
        ["query"] = "to_q",
        ["key"] = "to_k",
        ["value"] = "to_v",
        ["proj_attn"] = "to_out.0",
    };

    /// <param name="source">The file as it is; disposed with the result.</param>
    public static RenamedTensors Of(ITensorSource source) => new(source, stored =>
    {
        var name = Rename(stored);
        var isProjection = name.Contains(".attentions.", StringComparison.Ordinal) && name.Contains(".to_", StringComparison.Ordinal);
        return [(name, isProjection ? TensorForm.Matrix : TensorForm.Whole)];
    });

    private static string Rename(string stored)
    {
        var parts = stored.Split('.');
        if (parts is [.., "attentions", _, var projection, _] && Renamed.TryGetValue(projection, out var today))
        {
            parts[^2] = today;
        }

        return string.Join('.', parts);
    }
}
