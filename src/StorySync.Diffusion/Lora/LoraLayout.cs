using System.Text.RegularExpressions;

namespace StorySync.Diffusion.Lora;

/// <summary>Recognizes kinds and layouts of adapter files that cannot be read, for messages.</summary>
internal static partial class LoraLayout
{
    private static readonly (string Name, Regex Tensor)[] Kinds =
    [
        ("a DoRA (arXiv 2402.09353)", Dora()),
        ("a LoHa of LyCORIS (arXiv 2108.06098)", Loha()),
        ("a LoKr of LyCORIS (arXiv 2309.14859)", Lokr()),
        ("an adapter with full weights or biases (.diff, .bias)", Full()),
        ("XLabs' layout for FLUX", Xlabs()),
        ("a textual inversion, not a LoRA,", Inversion()),
    ];

    private static readonly (string Name, Regex Layer)[] Layouts =
    [
        ("kohya's layout for FLUX, on the names of black-forest-labs", KohyaFlux()),
        ("ComfyUI's layout (diffusion_model.…)", ComfyUI()),
        ("OneTrainer's layout (lora_transformer_…)", OneTrainer()),
        ("PEFT's own layout without the component's name (base_model.model.…)", BarePeft()),
    ];

    /// <summary>The kind of adapter that a tensor's name tells of, or null.</summary>
    public static string? Unsupported(string tensor) => Kinds.FirstOrDefault(kind => kind.Tensor.IsMatch(tensor)).Name;

    /// <summary>The layout that a layer's name tells of, or null.</summary>
    public static string? UnsupportedLayout(string layer) => Layouts.FirstOrDefault(layout => layout.Layer.IsMatch(layer)).Name;

    [GeneratedRegex(@"\.(lora_magnitude_vector(\.weight)?|dora_scale)$")]
    private static partial Regex Dora();

    [GeneratedRegex(@"\.hada_[wt]\d(_[ab])?$")]
    private static partial Regex Loha();

    [GeneratedRegex(@"\.lokr_([wt]\d(_[ab])?)$")]
    private static partial Regex Lokr();

    [GeneratedRegex(@"\.(diff|diff_b|w_norm|b_norm|lora_B\.bias)$")]
    private static partial Regex Full();

    [GeneratedRegex(@"^(double|single)_blocks\.\d+\.processor\.")]
    private static partial Regex Xlabs();

    [GeneratedRegex(@"^(emb_params|clip_[lg]|string_to_param)$")]
    private static partial Regex Inversion();

    [GeneratedRegex(@"^lora_unet_(double|single)_blocks_\d")]
    private static partial Regex KohyaFlux();

    [GeneratedRegex(@"^diffusion_model\.")]
    private static partial Regex ComfyUI();

    [GeneratedRegex(@"^lora_transformer_")]
    private static partial Regex OneTrainer();

    [GeneratedRegex(@"^base_model\.model\.")]
    private static partial Regex BarePeft();
}
