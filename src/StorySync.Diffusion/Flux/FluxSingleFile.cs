using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.Flux;

/// <summary>A FLUX transformer's checkpoint under the names of black-forest-labs' own code, seen under diffusers' names.</summary>
/// <remarks>The original keeps queries, keys and values (and in single blocks the first layer of the feed-forward) in one tensor; they
/// are given as views of its rows. Only the last norm's projection is copied: the original has its shift before its scale.</remarks>
internal sealed class FluxSingleFile : RenamedTensors
{
    /// <summary>What the names begin with in files that hold other models as well.</summary>
    public const string Prefix = "model.diffusion_model.";

    /// <summary>The names.</summary>
    public static readonly NameTable Table = new(
    [
        .. Layers(
            ("time_text_embed.timestep_embedder.linear_1", "time_in.in_layer", TensorForm.Whole),
            ("time_text_embed.timestep_embedder.linear_2", "time_in.out_layer", TensorForm.Whole),
            ("time_text_embed.guidance_embedder.linear_1", "guidance_in.in_layer", TensorForm.Whole),
            ("time_text_embed.guidance_embedder.linear_2", "guidance_in.out_layer", TensorForm.Whole),
            ("time_text_embed.text_embedder.linear_1", "vector_in.in_layer", TensorForm.Whole),
            ("time_text_embed.text_embedder.linear_2", "vector_in.out_layer", TensorForm.Whole),
            ("context_embedder", "txt_in", TensorForm.Whole),
            ("x_embedder", "img_in", TensorForm.Whole),

            ("transformer_blocks.*.norm1.linear", "double_blocks.*.img_mod.lin", TensorForm.Whole),
            ("transformer_blocks.*.norm1_context.linear", "double_blocks.*.txt_mod.lin", TensorForm.Whole),
            ("transformer_blocks.*.attn.to_q", "double_blocks.*.img_attn.qkv", TensorForm.Rows(0, 1, 3)),
            ("transformer_blocks.*.attn.to_k", "double_blocks.*.img_attn.qkv", TensorForm.Rows(1, 1, 3)),
            ("transformer_blocks.*.attn.to_v", "double_blocks.*.img_attn.qkv", TensorForm.Rows(2, 1, 3)),
            ("transformer_blocks.*.attn.add_q_proj", "double_blocks.*.txt_attn.qkv", TensorForm.Rows(0, 1, 3)),
            ("transformer_blocks.*.attn.add_k_proj", "double_blocks.*.txt_attn.qkv", TensorForm.Rows(1, 1, 3)),
            ("transformer_blocks.*.attn.add_v_proj", "double_blocks.*.txt_attn.qkv", TensorForm.Rows(2, 1, 3)),
            ("transformer_blocks.*.attn.to_out.0", "double_blocks.*.img_attn.proj", TensorForm.Whole),
            ("transformer_blocks.*.attn.to_add_out", "double_blocks.*.txt_attn.proj", TensorForm.Whole),
            ("transformer_blocks.*.ff.net.0.proj", "double_blocks.*.img_mlp.0", TensorForm.Whole),
            ("transformer_blocks.*.ff.net.2", "double_blocks.*.img_mlp.2", TensorForm.Whole),
            ("transformer_blocks.*.ff_context.net.0.proj", "double_blocks.*.txt_mlp.0", TensorForm.Whole),
            ("transformer_blocks.*.ff_context.net.2", "double_blocks.*.txt_mlp.2", TensorForm.Whole),

            // linear1 has 3 + 4 times the model's width in rows.
            ("single_transformer_blocks.*.norm.linear", "single_blocks.*.modulation.lin", TensorForm.Whole),
            ("single_transformer_blocks.*.attn.to_q", "single_blocks.*.linear1", TensorForm.Rows(0, 1, 7)),
            ("single_transformer_blocks.*.attn.to_k", "single_blocks.*.linear1", TensorForm.Rows(1, 1, 7)),
            ("single_transformer_blocks.*.attn.to_v", "single_blocks.*.linear1", TensorForm.Rows(2, 1, 7)),
            ("single_transformer_blocks.*.proj_mlp", "single_blocks.*.linear1", TensorForm.Rows(3, 4, 7)),
            ("single_transformer_blocks.*.proj_out", "single_blocks.*.linear2", TensorForm.Whole),

            ("norm_out.linear", "final_layer.adaLN_modulation.1", TensorForm.SwappedHalves),
            ("proj_out", "final_layer.linear", TensorForm.Whole)),
        Norm("transformer_blocks.*.attn.norm_q", "double_blocks.*.img_attn.norm.query_norm"),
        Norm("transformer_blocks.*.attn.norm_k", "double_blocks.*.img_attn.norm.key_norm"),
        Norm("transformer_blocks.*.attn.norm_added_q", "double_blocks.*.txt_attn.norm.query_norm"),
        Norm("transformer_blocks.*.attn.norm_added_k", "double_blocks.*.txt_attn.norm.key_norm"),
        Norm("single_transformer_blocks.*.attn.norm_q", "single_blocks.*.norm.query_norm"),
        Norm("single_transformer_blocks.*.attn.norm_k", "single_blocks.*.norm.key_norm"),
    ]);

    /// <param name="file">The checkpoint, which is disposed with this. Where names have the prefix <c>model.diffusion_model.</c>, those
    /// without it belong to other models. A tensor that the table does not know keeps its name.</param>
    public FluxSingleFile(ITensorSource file)
        : base(file, file.Tensors.Keys.Any(name => name.StartsWith(Prefix, StringComparison.Ordinal)) ? Prefix : "", Table)
    {
    }

    /// <summary>Returns the configuration, as far as the tensors tell: how positions share a head, they do not.</summary>
    /// <exception cref="ModelFileException">A tensor is missing that every FLUX transformer has.</exception>
    public FluxTransformer2DConfig ReadConfig()
    {
        var image = Shape("x_embedder.weight", 2);
        var headWidth = Shape("transformer_blocks.0.attn.norm_q.weight", 1)[0];
        return new FluxTransformer2DConfig
        {
            InChannels = (int)image[1],
            OutChannels = (int)Shape("proj_out.bias", 1)[0],
            NumLayers = Count("transformer_blocks.", ".norm1.linear.bias"),
            NumSingleLayers = Count("single_transformer_blocks.", ".norm.linear.bias"),
            AttentionHeadDim = (int)headWidth,
            NumAttentionHeads = (int)(image[0] / Math.Max(headWidth, 1)),
            JointAttentionDim = (int)Shape("context_embedder.weight", 2)[1],
            PooledProjectionDim = (int)Shape("time_text_embed.text_embedder.linear_1.weight", 2)[1],
            GuidanceEmbeds = Tensors.ContainsKey("time_text_embed.guidance_embedder.linear_1.weight"),
        };
    }

    private IReadOnlyList<long> Shape(string name, int axes) => Tensors.TryGetValue(name, out var info) && info.Shape.Count == axes
        ? info.Shape
        : throw new ModelFileException(
            Path,
            $"no FLUX transformer in black-forest-labs' layout: no tensor of it stands for '{name}'; expected are tensors such as "
            + "'img_in.weight' and 'double_blocks.0.img_attn.qkv.weight'");

    private int Count(string start, string end) => Tensors.Keys.Count(name =>
        name.StartsWith(start, StringComparison.Ordinal) && name.EndsWith(end, StringComparison.Ordinal));

    private static IEnumerable<(string Name, string Stored, TensorForm Form)> Layers(
        params (string Name, string Stored, TensorForm Form)[] entries) =>
        entries.SelectMany(entry => new (string, string, TensorForm)[]
        {
            ($"{entry.Name}.weight", $"{entry.Stored}.weight", entry.Form), ($"{entry.Name}.bias", $"{entry.Stored}.bias", entry.Form),
        });

    private static (string Name, string Stored, TensorForm Form) Norm(string name, string stored) =>
        ($"{name}.weight", $"{stored}.scale", TensorForm.Whole);
}
