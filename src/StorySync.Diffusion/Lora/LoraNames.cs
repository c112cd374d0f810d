using System.Text.RegularExpressions;
using TorchSharp;

namespace StorySync.Diffusion.Lora;

/// <summary>The names under which LoRA files speak of the layers of a component.</summary>
internal static partial class LoraNames
{
    private const string TextModel = "text_model.";

    /// <summary>Layers of an SDXL UNet outside its blocks, by their names in Stability's own code.</summary>
    private static readonly Dictionary<string, string> OriginalOutsideBlocks = new()
    {
        ["conv_in"] = "input_blocks_0_0",
        ["conv_out"] = "out_2",
        ["time_embedding.linear_1"] = "time_embed_0",
        ["time_embedding.linear_2"] = "time_embed_2",
        ["add_embedding.linear_1"] = "label_emb_0_0",
        ["add_embedding.linear_2"] = "label_emb_0_2",
    };

    /// <summary>Whether a name is a component's.</summary>
    public static bool IsComponent(string name) => name is "text_encoder" or "text_encoder_2" || IsDenoiser(name);

    /// <summary>Every name of every layer of a component: diffusers' with the component before it, a denoiser's without it too (as
    /// <c>save_lora_adapter</c> and <c>save_attn_procs</c> write them), kohya's, and for an SDXL UNet kohya's on the names of Stability's
    /// own code.</summary>
    /// <param name="component">The component's name in diffusers: <c>unet</c>, <c>text_encoder</c>, <c>text_encoder_2</c>,
    /// <c>transformer</c>.</param>
    /// <param name="module">The component.</param>
    /// <param name="resnetsPerLevel">Resnets of a level of the UNet; null for another kind of component.</param>
    public static IEnumerable<(string Name, string Layer)> Of(string component, torch.nn.Module module, int? resnetsPerLevel)
    {
        foreach (var (layer, _) in module.named_modules())
        {
            yield return ($"{component}.{layer}", layer);
            if (IsDenoiser(component))
            {
                yield return (layer, layer);
            }

            if (layer.StartsWith(TextModel, StringComparison.Ordinal))
            {
                // transformers 5 has no such level.
                yield return ($"{component}.{layer[TextModel.Length..]}", layer);
            }

            foreach (var prefix in KohyaPrefixes(component))
            {
                yield return ($"{prefix}_{layer.Replace('.', '_')}", layer);
                if (resnetsPerLevel is { } resnets && OriginalName(layer, resnets) is { } original)
                {
                    yield return ($"{prefix}_{original}", layer);
                }
            }
        }
    }

    /// <summary>A layer's name as diffusers has it today. Early files name an attention layer's projections after the processor that held
    /// them: <c>attn1.processor.to_q_lora</c>, in text encoders <c>self_attn.to_q_lora</c>.</summary>
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

    private static string[] KohyaPrefixes(string component) => component switch
    {
        "unet" or "transformer" => ["lora_unet"],
        "text_encoder" => ["lora_te", "lora_te1"],
        "text_encoder_2" => ["lora_te2"],
        _ => [],
    };

    /// <summary>Stability's code counts the layers of all levels through: the first convolution is input block 0, each resnet with its
    /// transformer is a block, and so is each downsampler; an upsampler belongs to the last block of its level.</summary>
    private static string? OriginalName(string layer, int resnets)
    {
        if (OriginalOutsideBlocks.TryGetValue(layer, out var outside))
        {
            return outside;
        }

        var match = BlockName().Match(layer);
        if (!match.Success)
        {
            return null;
        }

        var (half, kind, rest) = (match.Groups["half"].Value, match.Groups["kind"].Value, match.Groups["rest"].Value);
        var level = half == "mid_block" ? 0 : int.Parse(match.Groups["level"].ValueSpan, provider: null);
        var index = int.Parse(match.Groups["index"].ValueSpan, provider: null);
        var within = kind == "resnets" ? ResnetPart(rest) : rest.Replace('.', '_');
        return (half, kind) switch
        {
            ("mid_block", "attentions") => $"middle_block_1_{within}",
            ("mid_block", "resnets") => $"middle_block_{index * 2}_{within}",
            ("down_blocks", "attentions") => $"input_blocks_{1 + (level * (resnets + 1)) + index}_1_{within}",
            ("down_blocks", "resnets") => $"input_blocks_{1 + (level * (resnets + 1)) + index}_0_{within}",
            ("down_blocks", "downsamplers") => $"input_blocks_{(level + 1) * (resnets + 1)}_0_op",
            ("up_blocks", "attentions") => $"output_blocks_{(level * (resnets + 1)) + index}_1_{within}",
            ("up_blocks", "resnets") => $"output_blocks_{(level * (resnets + 1)) + index}_0_{within}",
            ("up_blocks", "upsamplers") => $"output_blocks_{(level * (resnets + 1)) + resnets}_2_conv",
            _ => null,
        };
    }

    private static string ResnetPart(string part) => part switch
    {
        "conv1" => "in_layers_2",
        "time_emb_proj" => "emb_layers_1",
        "conv2" => "out_layers_3",
        "conv_shortcut" => "skip_connection",
        _ => part,
    };

    [GeneratedRegex(
        @"^(?<half>down_blocks|mid_block|up_blocks)(?:\.(?<level>\d+))?\.(?<kind>attentions|resnets|downsamplers|upsamplers)\.(?<index>\d+)\.(?<rest>.+)$")]
    private static partial Regex BlockName();

    [GeneratedRegex(@"\.to_([qkv]|out)_lora$")]
    private static partial Regex EarlyProjection();
}
