namespace StorySync.Diffusion.Weights;

/// <summary>Tells from its tensors what a checkpoint is of, to explain why it does not fit.</summary>
internal static class CheckpointKind
{
    private static readonly (string Kind, Func<IReadOnlyDictionary<string, TensorInfo>, bool> Is)[] Kinds =
    [
        ("a LoRA's; load them as an adapter of the base model", t => Any(t, ".lora_") || Any(t, "lora_unet") || Any(t, "lora_te")),
        ("a single-file checkpoint's in the original layout; convert it to a folder with diffusers' from_single_file and save_pretrained",
            t => StartsWith(t, "model.diffusion_model.") || StartsWith(t, "first_stage_model.")),
        ("a FLUX transformer's in the original layout; take the diffusers folder of the model instead", t => StartsWith(t, "double_blocks.0.")),
        ("a VAE's in the original layout; take the diffusers folder of the model instead", t => StartsWith(t, "decoder.mid.attn_1.")),
        ("FLUX.1 dev's transformer", t => StartsWith(t, "time_text_embed.guidance_embedder.")),
        ("FLUX.1 schnell's transformer", t => StartsWith(t, "single_transformer_blocks.0.") && StartsWith(t, "context_embedder.")),
        ("Kandinsky 3's UNet", t => StartsWith(t, "add_time_condition.")),
        ("an SDXL UNet's", t => StartsWith(t, "add_embedding.linear_1.") && StartsWith(t, "down_blocks.")),
        ("an SD 1.5 UNet's", t => CrossAttentionWidth(t) == 768),
        ("an SD 2.x UNet's", t => CrossAttentionWidth(t) == 1024),
        ("a UNet's", t => StartsWith(t, "down_blocks.") && StartsWith(t, "time_embedding.")),
        ("MoVQ's (Kandinsky's autoencoder)", t => Any(t, ".conv_y.")),
        ("an autoencoder's of SD or SDXL", t => StartsWith(t, "decoder.mid_block.") && StartsWith(t, "post_quant_conv.")),
        ("FLUX.1's autoencoder", t => StartsWith(t, "decoder.mid_block.")),
        ("a whole CLIP model's, with image tower", t => StartsWith(t, "vision_model.")),
        ("a CLIP text encoder's with projection (SDXL's second)", t => StartsWith(t, "text_projection.") && Any(t, "layers.0.self_attn.")),
        ("a CLIP text encoder's", t => Any(t, "embeddings.token_embedding.")),
        ("a T5 model's", t => StartsWith(t, "encoder.block.0.layer.0.SelfAttention.")),
    ];

    public static string? Guess(IReadOnlyDictionary<string, TensorInfo> tensors) => Kinds.FirstOrDefault(kind => kind.Is(tensors)).Kind;

    private static bool StartsWith(IReadOnlyDictionary<string, TensorInfo> tensors, string prefix) =>
        tensors.Keys.Any(name => name.StartsWith(prefix, StringComparison.Ordinal));

    private static bool Any(IReadOnlyDictionary<string, TensorInfo> tensors, string part) =>
        tensors.Keys.Any(name => name.Contains(part, StringComparison.Ordinal));

    private static long? CrossAttentionWidth(IReadOnlyDictionary<string, TensorInfo> tensors) =>
        tensors.TryGetValue("down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight", out var info) ? info.Shape[^1] : null;
}
