namespace StorySync.Diffusion.Weights;

/// <summary>The names of SDXL's second text encoder in OpenCLIP, which keeps queries, keys and values in one tensor and multiplies by its
/// projection from the left.</summary>
internal static class OpenClip
{
    private const string Stored = "transformer.resblocks.*", Layer = "text_model.encoder.layers.*";

    public static NameTable Table { get; } = new(
    [
        ("text_model.embeddings.token_embedding.weight", "token_embedding.weight", TensorForm.Whole),
        ("text_model.embeddings.position_embedding.weight", "positional_embedding", TensorForm.Whole),
        ("text_model.final_layer_norm.**", "ln_final.**", TensorForm.Whole),
        ("text_projection.weight", "text_projection", TensorForm.Transposed),
        ($"{Layer}.layer_norm1.**", $"{Stored}.ln_1.**", TensorForm.Whole),
        ($"{Layer}.layer_norm2.**", $"{Stored}.ln_2.**", TensorForm.Whole),
        ($"{Layer}.self_attn.q_proj.weight", $"{Stored}.attn.in_proj_weight", TensorForm.Rows(0, 1, 3)),
        ($"{Layer}.self_attn.k_proj.weight", $"{Stored}.attn.in_proj_weight", TensorForm.Rows(1, 1, 3)),
        ($"{Layer}.self_attn.v_proj.weight", $"{Stored}.attn.in_proj_weight", TensorForm.Rows(2, 1, 3)),
        ($"{Layer}.self_attn.q_proj.bias", $"{Stored}.attn.in_proj_bias", TensorForm.Rows(0, 1, 3)),
        ($"{Layer}.self_attn.k_proj.bias", $"{Stored}.attn.in_proj_bias", TensorForm.Rows(1, 1, 3)),
        ($"{Layer}.self_attn.v_proj.bias", $"{Stored}.attn.in_proj_bias", TensorForm.Rows(2, 1, 3)),
        ($"{Layer}.self_attn.out_proj.**", $"{Stored}.attn.out_proj.**", TensorForm.Whole),
        ($"{Layer}.mlp.fc1.**", $"{Stored}.mlp.c_fc.**", TensorForm.Whole),
        ($"{Layer}.mlp.fc2.**", $"{Stored}.mlp.c_proj.**", TensorForm.Whole),
    ]);
}
