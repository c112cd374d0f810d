using StorySync.Diffusion.Flux;

namespace StorySync.Diffusion.Weights;

/// <summary>How a component of a model may be stored in a single file: what its names begin with, what marks it, and what its tensors are
/// called.</summary>
/// <param name="Component">The component's name in diffusers.</param>
/// <param name="Prefixes">What its names begin with, in order of preference; an empty text for a file that holds it alone.</param>
/// <param name="Mark">The rest of a name that is there if and only if the component is.</param>
/// <param name="Table">The names, for those without the prefix; null where they are diffusers'.</param>
internal sealed record StoredPart(string Component, string[] Prefixes, string Mark, Func<IEnumerable<string>, NameTable>? Table = null)
{
    // Original layouts go before diffusers': the marks of the first are the more particular.
    private static readonly StoredPart[] All =
    [
        new("unet", ["model.diffusion_model.", ""], "input_blocks.0.0.weight", OriginalUNet.TableOf),
        new("unet", [""], "down_blocks.0.resnets.0.conv1.weight"),
        new("transformer", [FluxSingleFile.Prefix, ""], "double_blocks.0.img_attn.qkv.weight", _ => FluxSingleFile.Table),
        new("transformer", [""], "single_transformer_blocks.0.proj_mlp.weight"),
        new("vae", ["first_stage_model.", "vae.", ""], "decoder.mid.block_1.conv1.weight", OriginalAutoencoder.TableOf),
        new("vae", ["vae.", ""], "decoder.mid_block.resnets.0.conv1.weight"),
        new("text_encoder", ["conditioner.embedders.0.transformer.", "text_encoders.clip_l.transformer.", ""],
            "text_model.embeddings.token_embedding.weight"),
        new("text_encoder", [""], "embeddings.token_embedding.weight"),
        new("text_encoder_2", ["conditioner.embedders.1.model.", ""], "transformer.resblocks.0.attn.in_proj_weight", _ => OpenClip.Table),
        new("text_encoder_2", ["text_encoders.clip_g.transformer.", ""], "text_model.embeddings.token_embedding.weight"),
        new("text_encoder_2", ["text_encoders.t5xxl.transformer.", ""], "encoder.block.0.layer.0.SelfAttention.q.weight"),
        new("text_encoder_2", [""], "enc.blk.0.attn_q.weight", _ => GgmlT5.Table),
    ];

    /// <summary>What files hold in addition to a component's weights: averages and measures of its training, the temperature of CLIP's
    /// comparisons.</summary>
    private static readonly string[] Extras = ["model_ema.", "loss.", "logit_scale"];

    /// <summary>Determines whether a component is among tensors, and how.</summary>
    /// <param name="component">The component's name in diffusers.</param>
    /// <param name="tensors">The tensors.</param>
    /// <returns>The layout and what the names begin with; null if it is not there.</returns>
    public static (StoredPart Part, string Prefix)? Find(string component, IReadOnlyDictionary<string, TensorInfo> tensors)
    {
        foreach (var part in All.Where(part => part.Component == component))
        {
            if (Array.Find(part.Prefixes, prefix => tensors.ContainsKey(prefix + part.Mark)) is { } prefix)
            {
                return (part, prefix);
            }
        }

        return null;
    }

    /// <summary>Returns a component's tensors under diffusers' names; null if the file does not hold it.</summary>
    /// <param name="component">The component's name in diffusers.</param>
    /// <param name="file">The file, which is disposed with the result.</param>
    public static RenamedTensors? Of(string component, ITensorSource file)
    {
        if (Find(component, file.Tensors) is not var (part, prefix))
        {
            return null;
        }

        var table = part.Table?.Invoke(file.Tensors.Keys.Where(name => name.StartsWith(prefix, StringComparison.Ordinal))
            .Select(name => name[prefix.Length..]));
        return new RenamedTensors(file, stored =>
        {
            if (!stored.StartsWith(prefix, StringComparison.Ordinal))
            {
                return [];
            }

            var name = stored[prefix.Length..];

            // A loose file of CLIP can have the projection of the whole model, which the first text encoder does not use.
            return Array.Exists(Extras, extra => name.StartsWith(extra, StringComparison.Ordinal))
                || (component == "text_encoder" && name == "text_projection.weight") ? []
                : table?.Translate(name).ToList() is { Count: > 0 } known ? known
                : [(name, TensorForm.Whole)];
        });
    }
}
