namespace StorySync.Diffusion.Weights;

/// <summary>The names of T5's encoder in GGUF files.</summary>
internal static class GgmlT5
{
    private const string Stored = "enc.blk.*", Attention = "encoder.block.*.layer.0", FeedForward = "encoder.block.*.layer.1";

    public static NameTable Table { get; } = new(
    [
        ("shared.**", "token_embd.**", TensorForm.Whole),
        ("encoder.final_layer_norm.**", "enc.output_norm.**", TensorForm.Whole),
        ($"{Attention}.SelfAttention.q.**", $"{Stored}.attn_q.**", TensorForm.Whole),
        ($"{Attention}.SelfAttention.k.**", $"{Stored}.attn_k.**", TensorForm.Whole),
        ($"{Attention}.SelfAttention.v.**", $"{Stored}.attn_v.**", TensorForm.Whole),
        ($"{Attention}.SelfAttention.o.**", $"{Stored}.attn_o.**", TensorForm.Whole),
        ($"{Attention}.SelfAttention.relative_attention_bias.**", $"{Stored}.attn_rel_b.**", TensorForm.Whole),
        ($"{Attention}.layer_norm.**", $"{Stored}.attn_norm.**", TensorForm.Whole),
        ($"{FeedForward}.DenseReluDense.wi_0.**", $"{Stored}.ffn_gate.**", TensorForm.Whole),
        ($"{FeedForward}.DenseReluDense.wi_1.**", $"{Stored}.ffn_up.**", TensorForm.Whole),
        ($"{FeedForward}.DenseReluDense.wo.**", $"{Stored}.ffn_down.**", TensorForm.Whole),
        ($"{FeedForward}.layer_norm.**", $"{Stored}.ffn_norm.**", TensorForm.Whole),
    ]);
}
