using StorySync.Diffusion.Flux;

namespace StorySync.Diffusion.Tests.Flux;

/// <summary>Names and shapes of FLUX.1's transformer as black-forest-labs' code has them
/// (https://github.com/black-forest-labs/flux, src/flux/model.py and src/flux/modules/layers.py).</summary>
internal static class OriginalNames
{
    public static IEnumerable<(string Name, long[] Shape)> Of(FluxTransformer2DConfig config)
    {
        long head = config.AttentionHeadDim;
        var width = config.NumAttentionHeads * head;
        var mlp = 4 * width;
        IEnumerable<(string, long[])>[] parts =
        [
            Linear("img_in", config.InChannels, width),
            Linear("txt_in", config.JointAttentionDim, width),
            Embedder("time_in", 256, width),
            Embedder("vector_in", config.PooledProjectionDim, width),
            config.GuidanceEmbeds ? Embedder("guidance_in", 256, width) : [],
            .. from block in Enumerable.Range(0, config.NumLayers)
               from stream in new[] { "img", "txt" }
               let prefix = $"double_blocks.{block}.{stream}"
               from part in new[]
               {
                   Linear($"{prefix}_mod.lin", width, 6 * width),
                   Linear($"{prefix}_attn.qkv", width, 3 * width),
                   Norms($"{prefix}_attn.norm", head),
                   Linear($"{prefix}_attn.proj", width, width),
                   Linear($"{prefix}_mlp.0", width, mlp),
                   Linear($"{prefix}_mlp.2", mlp, width),
               }
               select part,
            .. from block in Enumerable.Range(0, config.NumSingleLayers)
               let prefix = $"single_blocks.{block}"
               from part in new[]
               {
                   Linear($"{prefix}.modulation.lin", width, 3 * width),
                   Linear($"{prefix}.linear1", width, (3 * width) + mlp),
                   Linear($"{prefix}.linear2", width + mlp, width),
                   Norms($"{prefix}.norm", head),
               }
               select part,
            Linear("final_layer.adaLN_modulation.1", width, 2 * width),
            Linear("final_layer.linear", width, config.OutChannels ?? config.InChannels),
        ];
        return parts.SelectMany(p => p);
    }

    private static IEnumerable<(string, long[])> Linear(string name, long from, long to) =>
        [($"{name}.weight", [to, from]), ($"{name}.bias", [to])];

    private static IEnumerable<(string, long[])> Embedder(string name, long from, long to) =>
        [.. Linear($"{name}.in_layer", from, to), .. Linear($"{name}.out_layer", to, to)];

    private static IEnumerable<(string, long[])> Norms(string name, long width) =>
        [($"{name}.query_norm.scale", [width]), ($"{name}.key_norm.scale", [width])];
}
