using System.Globalization;
using System.Text.RegularExpressions;
using StorySync.Diffusion.Flux;
using StorySync.Diffusion.Weights;
using TorchSharp;

namespace StorySync.Diffusion.Lora;

/// <summary>The names that LoRA files use for the layers of a component.</summary>
internal static partial class LoraNames
{
    private const string TextModel = "text_model.", Weight = ".weight";

    // Under the names that Current makes of XLabs' own. They train the image's stream and the text's as the first and the second of a
    // block, and in single blocks queries, keys and values without the feed-forward that the authors keep in the same matrix.
    private static readonly NameTable Xlabs = new(
    [
        ("transformer_blocks.*.attn.to_out.0", "double_blocks.*.proj_lora1", TensorForm.Whole),
        ("transformer_blocks.*.attn.to_add_out", "double_blocks.*.proj_lora2", TensorForm.Whole),
        ("transformer_blocks.*.attn.to_q", "double_blocks.*.qkv_lora1", TensorForm.Rows(0, 1, 3)),
        ("transformer_blocks.*.attn.to_k", "double_blocks.*.qkv_lora1", TensorForm.Rows(1, 1, 3)),
        ("transformer_blocks.*.attn.to_v", "double_blocks.*.qkv_lora1", TensorForm.Rows(2, 1, 3)),
        ("transformer_blocks.*.attn.add_q_proj", "double_blocks.*.qkv_lora2", TensorForm.Rows(0, 1, 3)),
        ("transformer_blocks.*.attn.add_k_proj", "double_blocks.*.qkv_lora2", TensorForm.Rows(1, 1, 3)),
        ("transformer_blocks.*.attn.add_v_proj", "double_blocks.*.qkv_lora2", TensorForm.Rows(2, 1, 3)),
        ("single_transformer_blocks.*.proj_out", "single_blocks.*.proj_lora", TensorForm.Whole),
        ("single_transformer_blocks.*.attn.to_q", "single_blocks.*.qkv_lora", TensorForm.Rows(0, 1, 3)),
        ("single_transformer_blocks.*.attn.to_k", "single_blocks.*.qkv_lora", TensorForm.Rows(1, 1, 3)),
        ("single_transformer_blocks.*.attn.to_v", "single_blocks.*.qkv_lora", TensorForm.Rows(2, 1, 3)),
    ]);

    /// <summary>Every name of every layer of a component, and which part of what has that name the layer is.</summary>
    /// <remarks>A denoiser's layers go by diffusers' names and by those of its authors. Either come with the component before them
    /// (<c>unet.</c>, <c>transformer.</c>), with ComfyUI's <c>diffusion_model.</c>, with PEFT's <c>base_model.model.</c>, alone, and
    /// in kohya's and OneTrainer's way with lines in place of dots.</remarks>
    /// <param name="component">The component's name in diffusers: <c>unet</c>, <c>text_encoder</c>, <c>text_encoder_2</c>,
    /// <c>transformer</c>.</param>
    /// <param name="module">The component.</param>
    /// <param name="resnetsPerLevel">Resnets of a level of the UNet; null for another kind of component.</param>
    public static IEnumerable<(string Name, string Layer, TensorForm Form)> Of(
        string component, torch.nn.Module module, int? resnetsPerLevel)
    {
        var layers = module.named_modules().Select(entry => entry.name).ToList();
        var original = module is FluxTransformer2DModel ? FluxSingleFile.Table
            : resnetsPerLevel is { } resnets ? OriginalUNet.Table(Levels(layers), resnets)
            : null;
        foreach (var layer in layers)
        {
            var names = new List<(string Name, TensorForm Form)> { (layer, TensorForm.Whole) };
            if (layer.StartsWith(TextModel, StringComparison.Ordinal))
            {
                // transformers 5 has no such level.
                yield return ($"{component}.{layer[TextModel.Length..]}", layer, TensorForm.Whole);
            }

            names.AddRange(original?.StoredNames(layer + Weight)
                .Where(name => name.Stored.EndsWith(Weight, StringComparison.Ordinal))
                .Select(name => (name.Stored[..^Weight.Length], name.Form)) ?? []);
            foreach (var (name, form) in names)
            {
                foreach (var prefix in DottedPrefixes(component))
                {
                    yield return (prefix + name, layer, form);
                }

                foreach (var prefix in KohyaPrefixes(component))
                {
                    yield return ($"{prefix}_{name.Replace('.', '_')}", layer, form);
                }
            }

            if (module is FluxTransformer2DModel)
            {
                foreach (var (name, form) in Xlabs.StoredNames(layer))
                {
                    yield return (name, layer, form);
                    yield return ($"diffusion_model.{name}", layer, form);
                }
            }
        }
    }

    /// <summary>Returns a value indicating whether a name is a component's.</summary>
    public static bool IsComponent(string name) => name is "text_encoder" or "text_encoder_2" || IsDenoiser(name);

    /// <summary>Returns a layer's name as diffusers has it today. Early files name an attention layer's projections after the processor
    /// that held them: <c>attn1.processor.to_q_lora</c>, in text encoders <c>self_attn.to_q_lora</c>.</summary>
    public static string Current(string layer)
    {
        layer = layer.Replace(".processor.", ".", StringComparison.Ordinal);
        var match = EarlyProjection().Match(layer);
        if (!match.Success)
        {
            return layer;
        }

        var (block, projection) = (layer[..match.Index], match.Groups[1].Value);
        return block + (block.EndsWith(".self_attn", StringComparison.Ordinal) ? $".{projection}_proj"
            : projection == "out" ? ".to_out.0"
            : $".to_{projection}");
    }

    private static bool IsDenoiser(string component) => component is "unet" or "transformer";

    private static string[] DottedPrefixes(string component) => component switch
    {
        _ when IsDenoiser(component) => [$"{component}.", "diffusion_model.", "base_model.model.", ""],
        _ => [$"{component}."],
    };

    private static string[] KohyaPrefixes(string component) => component switch
    {
        "unet" => ["lora_unet"],
        "transformer" => ["lora_unet", "lora_transformer"],
        "text_encoder" => ["lora_te", "lora_te1"],
        "text_encoder_2" => ["lora_te2"],
        _ => [],
    };

    private static int Levels(IEnumerable<string> layers) => layers.Select(layer => layer.Split('.'))
        .Select(parts => parts is ["down_blocks", var level, ..] ? int.Parse(level, CultureInfo.InvariantCulture) + 1 : 0)
        .DefaultIfEmpty().Max();

    [GeneratedRegex(@"\.to_([qkv]|out)_lora$")]
    private static partial Regex EarlyProjection();
}
