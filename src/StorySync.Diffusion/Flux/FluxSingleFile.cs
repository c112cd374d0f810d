using System.Text.RegularExpressions;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Flux;

/// <summary>A FLUX transformer's checkpoint under the names of black-forest-labs' own code, seen under diffusers' names.</summary>
/// <remarks>The original keeps queries, keys and values (and in single blocks the first layer of the feed-forward) in one tensor; they
/// are given as views of its rows. Only the last norm's projection is copied: the original has its shift before its scale.</remarks>
internal sealed partial class FluxSingleFile : IMappedTensorSource
{
    private const string Prefix = "model.diffusion_model.";

    /// <summary>diffusers' modules, the original's, and which rows of the original's tensors they have. <c>*</c> is a block's
    /// number.</summary>
    private static readonly (string Module, string Original, Rows Rows)[] Table =
    [
        ("time_text_embed.timestep_embedder.linear_1", "time_in.in_layer", Rows.All),
        ("time_text_embed.timestep_embedder.linear_2", "time_in.out_layer", Rows.All),
        ("time_text_embed.guidance_embedder.linear_1", "guidance_in.in_layer", Rows.All),
        ("time_text_embed.guidance_embedder.linear_2", "guidance_in.out_layer", Rows.All),
        ("time_text_embed.text_embedder.linear_1", "vector_in.in_layer", Rows.All),
        ("time_text_embed.text_embedder.linear_2", "vector_in.out_layer", Rows.All),
        ("context_embedder", "txt_in", Rows.All),
        ("x_embedder", "img_in", Rows.All),

        ("transformer_blocks.*.norm1.linear", "double_blocks.*.img_mod.lin", Rows.All),
        ("transformer_blocks.*.norm1_context.linear", "double_blocks.*.txt_mod.lin", Rows.All),
        ("transformer_blocks.*.attn.to_q", "double_blocks.*.img_attn.qkv", Rows.Third(0)),
        ("transformer_blocks.*.attn.to_k", "double_blocks.*.img_attn.qkv", Rows.Third(1)),
        ("transformer_blocks.*.attn.to_v", "double_blocks.*.img_attn.qkv", Rows.Third(2)),
        ("transformer_blocks.*.attn.add_q_proj", "double_blocks.*.txt_attn.qkv", Rows.Third(0)),
        ("transformer_blocks.*.attn.add_k_proj", "double_blocks.*.txt_attn.qkv", Rows.Third(1)),
        ("transformer_blocks.*.attn.add_v_proj", "double_blocks.*.txt_attn.qkv", Rows.Third(2)),
        ("transformer_blocks.*.attn.norm_q", "double_blocks.*.img_attn.norm.query_norm", Rows.All),
        ("transformer_blocks.*.attn.norm_k", "double_blocks.*.img_attn.norm.key_norm", Rows.All),
        ("transformer_blocks.*.attn.norm_added_q", "double_blocks.*.txt_attn.norm.query_norm", Rows.All),
        ("transformer_blocks.*.attn.norm_added_k", "double_blocks.*.txt_attn.norm.key_norm", Rows.All),
        ("transformer_blocks.*.attn.to_out.0", "double_blocks.*.img_attn.proj", Rows.All),
        ("transformer_blocks.*.attn.to_add_out", "double_blocks.*.txt_attn.proj", Rows.All),
        ("transformer_blocks.*.ff.net.0.proj", "double_blocks.*.img_mlp.0", Rows.All),
        ("transformer_blocks.*.ff.net.2", "double_blocks.*.img_mlp.2", Rows.All),
        ("transformer_blocks.*.ff_context.net.0.proj", "double_blocks.*.txt_mlp.0", Rows.All),
        ("transformer_blocks.*.ff_context.net.2", "double_blocks.*.txt_mlp.2", Rows.All),

        // linear1 has 3 + 4 times the model's width in rows.
        ("single_transformer_blocks.*.norm.linear", "single_blocks.*.modulation.lin", Rows.All),
        ("single_transformer_blocks.*.attn.to_q", "single_blocks.*.linear1", Rows.Sevenths(0, 1)),
        ("single_transformer_blocks.*.attn.to_k", "single_blocks.*.linear1", Rows.Sevenths(1, 1)),
        ("single_transformer_blocks.*.attn.to_v", "single_blocks.*.linear1", Rows.Sevenths(2, 1)),
        ("single_transformer_blocks.*.proj_mlp", "single_blocks.*.linear1", Rows.Sevenths(3, 4)),
        ("single_transformer_blocks.*.attn.norm_q", "single_blocks.*.norm.query_norm", Rows.All),
        ("single_transformer_blocks.*.attn.norm_k", "single_blocks.*.norm.key_norm", Rows.All),
        ("single_transformer_blocks.*.proj_out", "single_blocks.*.linear2", Rows.All),

        ("norm_out.linear", "final_layer.adaLN_modulation.1", Rows.SwappedHalves),
        ("proj_out", "final_layer.linear", Rows.All),
    ];

    private static readonly ILookup<string,
        (string Module, string Original, Rows Rows)> ByOriginal = Table.ToLookup(entry => entry.Original);

    private readonly ITensorSource file;
    private readonly Dictionary<string, (string Original, Rows Rows)> origins = new(StringComparer.Ordinal);

    /// <param name="file">The checkpoint, which is disposed with this. Where names have the prefix <c>model.diffusion_model.</c>, those
    /// without it belong to other models. A tensor that the table does not know keeps its name.</param>
    public FluxSingleFile(ITensorSource file)
    {
        this.file = file;
        var tensors = new Dictionary<string, TensorInfo>(StringComparer.Ordinal);
        var prefix = file.Tensors.Keys.Any(name => name.StartsWith(Prefix, StringComparison.Ordinal)) ? Prefix : "";
        foreach (var info in file.Tensors.Values.Where(info => info.Name.StartsWith(prefix, StringComparison.Ordinal)))
        {
            foreach (var (name, rows) in Translate(info.Name[prefix.Length..]))
            {
                origins.Add(name, (info.Name, rows));
                tensors.Add(name, new TensorInfo(name, info.Dtype, rows.Of(info.Shape)));
            }
        }

        Tensors = tensors;
    }

    /// <inheritdoc/>
    public string Path => file.Path;

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, TensorInfo> Tensors { get; }

    /// <summary>The configuration, as far as the tensors tell: how positions share a head, they do not.</summary>
    /// <exception cref="ModelFileException">A tensor is missing that every FLUX transformer has.</exception>
    public FluxTransformer2DConfig ReadConfig()
    {
        var image = Shape("x_embedder.weight");
        var headWidth = Shape("transformer_blocks.0.attn.norm_q.weight")[0];
        return new FluxTransformer2DConfig
        {
            InChannels = (int)image[1],
            OutChannels = (int)Shape("proj_out.bias")[0],
            NumLayers = Count("transformer_blocks.", ".norm1.linear.bias"),
            NumSingleLayers = Count("single_transformer_blocks.", ".norm.linear.bias"),
            AttentionHeadDim = (int)headWidth,
            NumAttentionHeads = (int)(image[0] / headWidth),
            JointAttentionDim = (int)Shape("context_embedder.weight")[1],
            PooledProjectionDim = (int)Shape("time_text_embed.text_embedder.linear_1.weight")[1],
            GuidanceEmbeds = Tensors.ContainsKey("time_text_embed.guidance_embedder.linear_1.weight"),
        };
    }

    /// <inheritdoc/>
    public Tensor Read(string name) => origins.TryGetValue(name, out var origin)
        ? origin.Rows.Of(file.Read(origin.Original))
        : throw new KeyNotFoundException($"{Path}: there is no tensor '{name}' among its {origins.Count}.");

    bool IMappedTensorSource.IsView(string name) => origins.TryGetValue(name, out var origin) && origin.Rows.IsRange
        && file is IMappedTensorSource mapped && mapped.IsView(origin.Original);

    void IMappedTensorSource.Hold(string name) => (file as IMappedTensorSource)?.Hold(origins[name].Original);

    IEnumerable<MappedFile> IMappedTensorSource.FilesInUse => (file as IMappedTensorSource)?.FilesInUse ?? [];

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();

    private IReadOnlyList<long> Shape(string name) => Tensors.TryGetValue(name, out var info)
        ? info.Shape
        : throw new ModelFileException(
            Path,
            $"no FLUX transformer in black-forest-labs' layout: no tensor of it stands for '{name}'; expected are tensors such as "
            + "'img_in.weight' and 'double_blocks.0.img_attn.qkv.weight'");

    private int Count(string start, string end) => Tensors.Keys.Count(name =>
        name.StartsWith(start, StringComparison.Ordinal) && name.EndsWith(end, StringComparison.Ordinal));

    private static IEnumerable<(string Name, Rows Rows)> Translate(string name)
    {
        var dot = name.LastIndexOf('.');
        var (module, parameter) = (name[..Math.Max(dot, 0)], name[(dot + 1)..] == "scale" ? "weight" : name[(dot + 1)..]);
        var block = BlockNumber().Match(module).Value;
        var entries = ByOriginal[BlockNumber().Replace(module, "*")];
        return entries.Any() ? entries.Select(e => ($"{e.Module.Replace("*", block, StringComparison.Ordinal)}.{parameter}", e.Rows))
            : [(name, Rows.All)];
    }

    [GeneratedRegex(@"(?<=^(double|single)_blocks\.)\d+")]
    private static partial Regex BlockNumber();

    /// <summary>Some of a tensor's rows: <paramref name="Count"/> parts from part <paramref name="Start"/> on, of
    /// <paramref name="Parts"/> equal ones.</summary>
    private sealed record Rows(int Start, int Count, int Parts)
    {
        public static readonly Rows All = new(0, 1, 1);
        public static readonly Rows SwappedHalves = new(1, 2, 2);

        public static Rows Third(int start) => new(start, 1, 3);

        public static Rows Sevenths(int start, int count) => new(start, count, 7);

        public IReadOnlyList<long> Of(IReadOnlyList<long> shape) => this == All ? shape : [shape[0] / Parts * Count, .. shape.Skip(1)];

        /// <summary>Gets a value indicating whether the rows follow each other in the tensor.</summary>
        public bool IsRange => Start + Count <= Parts;

        /// <summary>The rows, which go on with the first where they run past the last. Consumes the tensor.</summary>
        public Tensor Of(Tensor tensor)
        {
            if (this == All)
            {
                return tensor;
            }

            using (tensor)
            {
                var size = tensor.shape[0] / Parts;
                return IsRange
                    ? tensor.narrow(0, Start * size, Count * size)
                    : tensor.roll(-Start * size, 0);
            }
        }
    }
}
