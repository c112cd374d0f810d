using System.Text.RegularExpressions;

namespace StorySync.Diffusion.Lora;

/// <summary>Recognizes kinds of adapter files that cannot be read, for messages.</summary>
internal static partial class LoraLayout
{
    private static readonly (string Name, Regex Tensor)[] Kinds =
    [
        ("an adapter with full weights or biases (.diff, .bias), which is not supported", Full()),
        ("a textual inversion, which StableDiffusionXLPipeline.LoadTextualInversion takes", Inversion()),
    ];

    /// <summary>Returns the kind of adapter that a tensor's name indicates, or null.</summary>
    public static string? Unsupported(string tensor) => Kinds.FirstOrDefault(kind => kind.Tensor.IsMatch(tensor)).Name;

    [GeneratedRegex(@"\.(diff|diff_b|w_norm|b_norm|lora_B\.bias)$")]
    private static partial Regex Full();

    [GeneratedRegex(@"^(emb_params|clip_[lg]|text_encoders_[01]|string_to_param)$")]
    private static partial Regex Inversion();
}
