namespace StorySync.Diffusion.Weights;

/// <summary>Tells from its tensors what a checkpoint is of, to explain why it does not fit.</summary>
internal sealed class CheckpointKind
{
    private const string Original = "in the original layout; load the file itself with DiffusionPipeline.Load";

    // What a file of a whole model, or of its denoiser, can be that is not supported.
    private static readonly (string Name, Func<CheckpointKind, bool> Fits)[] OtherModels =
    [
        ("SDXL's refiner", c => c.StartsWith("conditioner.embedders.0.model.") || (c.HasClasses && c.OriginalWidth == 1280)),
        ("Stable Diffusion 1.x", c => c.StartsWith("cond_stage_model.transformer.") || c.OriginalWidth == 768),
        ("Stable Diffusion 2.x", c => c.StartsWith("cond_stage_model.model.") || c.OriginalWidth == 1024),
        ("Stable Diffusion 3", c => c.StartsWith("model.diffusion_model.joint_blocks.0.") || c.StartsWith("joint_blocks.0.")),
        ("Stable Cascade", c => c.Contains("clip_txt_mapper.")),
        ("Chroma", c => c.Contains("distilled_guidance_layer.")),
        ("HunyuanVideo", c => c.Contains("individual_token_refiner.")),
        ("FLUX.2", c => c.Contains("single_stream_modulation.")),
    ];

    // The first that fits is the answer, so the more particular come first.
    private static readonly (string Name, Func<CheckpointKind, bool> Fits)[] Kinds =
    [
        ("a LoRA's; load them as an adapter of the base model",
            c => c.Contains(".lora_") || c.Contains("lora_unet") || c.Contains("lora_te")),
        ("a FLUX transformer's in the original layout; open it with FluxTransformer2DModel.LoadSingleFile",
            c => c.StartsWith("double_blocks.0.") || c.StartsWith("model.diffusion_model.double_blocks.0.")),
        ($"a single file's {Original}", c => c.StartsWith("model.diffusion_model.") || c.StartsWith("first_stage_model.")),
        ("an autoencoder's in the original layout; give the file as PipelineOptions.Vae", c => c.StartsWith("decoder.mid.attn_1.")),
        ("a ControlNet's", c => c.StartsWith("controlnet_")),
        ("a FLUX transformer's with guidance embedding (FLUX.1 dev)", c => c.StartsWith("time_text_embed.guidance_embedder.")),
        ("a FLUX transformer's without guidance embedding (FLUX.1 schnell)",
            c => c.StartsWith("single_transformer_blocks.0.") && c.StartsWith("context_embedder.")),
        ("Kandinsky 3's UNet's", c => c.StartsWith("add_time_condition.")),
        ("an SDXL UNet's", c => c.StartsWith("add_embedding.linear_1.") && c.StartsWith("down_blocks.")),
        ("an SD 1.5 UNet's", c => c.CrossAttentionWidth == 768),
        ("an SD 2.x UNet's", c => c.CrossAttentionWidth == 1024),
        ("another UNet's", c => c.StartsWith("down_blocks.") && c.StartsWith("time_embedding.")),
        ("MoVQ's (Kandinsky's autoencoder)", c => c.Contains(".conv_y.")),
        ("an SD or SDXL autoencoder's", c => c.StartsWith("decoder.mid_block.") && c.StartsWith("post_quant_conv.")),
        ("FLUX.1's autoencoder's", c => c.StartsWith("decoder.mid_block.")),
        ("a whole CLIP model's, with image tower", c => c.StartsWith("vision_model.")),
        ("a CLIP text encoder's with projection (SDXL's second)",
            c => c.StartsWith("text_projection.") && c.Contains("layers.0.self_attn.")),
        ("a CLIP text encoder's", c => c.Contains("embeddings.token_embedding.")),
        ("a T5 model's", c => c.StartsWith("encoder.block.0.layer.0.SelfAttention.")),
    ];

    private readonly IReadOnlyDictionary<string, TensorInfo> tensors;

    private CheckpointKind(IReadOnlyDictionary<string, TensorInfo> tensors) => this.tensors = tensors;

    /// <summary>Whose tensors they are ("an SD 1.5 UNet's"), or null if they look like nothing known.</summary>
    public static string? Guess(IReadOnlyDictionary<string, TensorInfo> tensors)
    {
        var checkpoint = new CheckpointKind(tensors);
        return Kinds.FirstOrDefault(kind => kind.Fits(checkpoint)).Name;
    }

    /// <summary>Returns what the model is called that a file holds, if it is one that is not supported.</summary>
    public static string? Unsupported(IReadOnlyDictionary<string, TensorInfo> tensors)
    {
        var checkpoint = new CheckpointKind(tensors);
        return OtherModels.FirstOrDefault(model => model.Fits(checkpoint)).Name;
    }

    /// <summary>The width of the text that a UNet in the original layout reads.</summary>
    private long? OriginalWidth => tensors.Values.FirstOrDefault(info => info.Shape.Count == 2
        && info.Name.Contains("input_blocks.", StringComparison.Ordinal)
        && info.Name.EndsWith(".transformer_blocks.0.attn2.to_k.weight", StringComparison.Ordinal))?.Shape[1];

    private bool HasClasses => Contains("label_emb.0.0.");

    private long? CrossAttentionWidth =>
        tensors.TryGetValue("down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight", out var info)
            && info.Shape is [.., var width] ? width : null;

    private bool StartsWith(string prefix) => tensors.Keys.Any(name => name.StartsWith(prefix, StringComparison.Ordinal));

    private bool Contains(string part) => tensors.Keys.Any(name => name.Contains(part, StringComparison.Ordinal));
}
