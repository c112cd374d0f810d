using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>Binds checkpoints to CLIP models, however they spell the names.</summary>
internal static class CLIPCheckpoint
{
    private static readonly string[] OfTextTower = ["embeddings.", "encoder.", "final_layer_norm."];

    /// <summary>The table of the tokens stays as it is stored: only the rows that a text needs are converted.</summary>
    public static void Bind(nn.Module model, ITensorSource weights, ScalarType dtype, Device? device) => WeightBinder.Bind(
        model, weights, name => name == "text_model.embeddings.token_embedding.weight" ? null : dtype, device, NameOf);

    /// <summary>Older files hold the positions' numbers 0, 1, 2 …, which nothing needs; transformers 5 writes a text encoder without
    /// the prefix <c>text_model.</c>.</summary>
    private static string? NameOf(string name) => name switch
    {
        _ when name.EndsWith(".position_ids", StringComparison.Ordinal) => null,
        _ when OfTextTower.Any(part => name.StartsWith(part, StringComparison.Ordinal)) => "text_model." + name,
        _ => name,
    };
}
