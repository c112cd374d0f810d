using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Lora;

/// <summary>How a few small tensors make the matrix that is added to a weight.</summary>
/// <param name="Parts">The tensors, by the names that <see cref="LoraFile"/> has for them.</param>
/// <param name="Rows">The rows of the matrix.</param>
/// <param name="Columns">Its columns: inputs times the size of a kernel.</param>
/// <param name="Rank">What its alpha is divided by; null where an alpha has no effect.</param>
internal abstract record LoraProduct(IReadOnlyDictionary<string, TensorInfo> Parts, long Rows, long Columns, long? Rank)
{
    public const string Down = "down", Up = "up", Mid = "mid", Magnitude = "magnitude";

    /// <summary>Computes the matrix, (rows, columns).</summary>
    /// <param name="read">Reads a tensor in float32.</param>
    public abstract Tensor Compute(Func<string, Tensor> read);

    /// <summary>Returns the product that tensors make.</summary>
    /// <exception cref="FormatException">A tensor is missing, or their shapes do not belong together; the message is the rest of a sentence
    /// that starts with the layer.</exception>
    public static LoraProduct Of(IReadOnlyDictionary<string, TensorInfo> parts)
    {
        var names = parts.Keys.Where(name => name != Magnitude).ToList();
        return names.Count == 0 ? Matrices.Of(parts)
            : names.TrueForAll(name => name is Down or Up or Mid) ? Matrices.Of(parts)
            : names.TrueForAll(name => name.StartsWith("hada_", StringComparison.Ordinal)) ? Hadamard.Of(parts)
            : names.TrueForAll(name => name.StartsWith("lokr_", StringComparison.Ordinal)) ? Kronecker.Of(parts)
            : throw new FormatException($"has tensors of several kinds: {string.Join(", ", parts.Values.Select(info => info.Name))}");
    }

    private static FormatException Shapes(IEnumerable<TensorInfo?> infos) => new(
        $"has tensors whose shapes do not belong together: {string.Join(", ", infos.OfType<TensorInfo>())}");

    private static TensorInfo Need(IReadOnlyDictionary<string, TensorInfo> parts, string name) => parts.GetValueOrDefault(name)
        ?? throw new FormatException($"lacks the tensor {name}; the file is not whole");

    private static long Count(IEnumerable<long> sizes) => sizes.Aggregate(1L, (product, size) => checked(product * size));

    private static bool IsMatrix(TensorInfo? info) => info is null || info.Shape.Count == 2;

    /// <summary>A core of the form (r, r', height, width) with a factor for each of its first two axes.</summary>
    private static Tensor Tucker(Tensor core, Tensor first, Tensor second) =>
        einsum("ijkl,jr,ip->prkl", core, second, first).flatten(1).contiguous();

    /// <summary>LoRA (arXiv 2106.09685): up · down; in convolutions with a core between them where that has a kernel of its own.</summary>
    private sealed record Matrices(IReadOnlyDictionary<string, TensorInfo> Parts, long Rows, long Columns, long? Rank)
        : LoraProduct(Parts, Rows, Columns, Rank)
    {
        public static new Matrices Of(IReadOnlyDictionary<string, TensorInfo> parts)
        {
            if (!parts.TryGetValue(Down, out var down) | !parts.TryGetValue(Up, out var up))
            {
                throw new FormatException($"lacks {(down, up) switch
                {
                    (null, null) => "both of its matrices and has an alpha alone",
                    (null, _) => "the matrix down (lora_A)",
                    _ => "the matrix up (lora_B)",
                }}; the file is not whole");
            }

            if (down!.Shape.Count is not (2 or 4) || up!.Shape.Count is not (2 or 4)
                || (up.Shape[1] != down.Shape[0] && !parts.ContainsKey(Mid)))
            {
                throw new FormatException($"has matrices of the shapes {ShapeText.Of(up!.Shape)} (up) and "
                    + $"{ShapeText.Of(down.Shape)} (down); expected (out, rank) and (rank, in), or those of convolutions");
            }

            var (rank, columns) = (down.Shape[0], Count(down.Shape.Skip(1)));
            if (parts.GetValueOrDefault(Mid) is not { } mid)
            {
                return Count(up.Shape.Skip(2)) == 1 ? new(parts, up.Shape[0], columns, rank) : throw Shapes([up, down]);
            }

            return mid.Shape.Count == 4 && mid.Shape[0] == up.Shape[1] && mid.Shape[1] == rank && columns == down.Shape[1]
                && Count(up.Shape.Skip(2)) == 1
                ? new(parts, up.Shape[0], columns * mid.Shape[2] * mid.Shape[3], rank)
                : throw Shapes([up, mid, down]);
        }

        public override Tensor Compute(Func<string, Tensor> read)
        {
            var (down, up) = (read(Down).flatten(1), read(Up).flatten(1));
            return Parts.ContainsKey(Mid) ? Tucker(read(Mid), up.mT, down) : up.mm(down);
        }
    }

    /// <summary>LoHa (arXiv 2108.06098): two products of two matrices, or of a core and two matrices, multiplied element by
    /// element.</summary>
    private sealed record Hadamard(IReadOnlyDictionary<string, TensorInfo> Parts, long Rows, long Columns, long? Rank)
        : LoraProduct(Parts, Rows, Columns, Rank)
    {
        public static new Hadamard Of(IReadOnlyDictionary<string, TensorInfo> parts)
        {
            var (first, second) = (Factor(parts, "hada_w1", "hada_t1"), Factor(parts, "hada_w2", "hada_t2"));
            return first == second ? new(parts, first.Rows, first.Columns, Need(parts, "hada_w1_b").Shape[0]) : throw Shapes(parts.Values);
        }

        public override Tensor Compute(Func<string, Tensor> read) =>
            Factor(read, "hada_w1", "hada_t1").mul(Factor(read, "hada_w2", "hada_t2"));

        private Tensor Factor(Func<string, Tensor> read, string name, string core) => Parts.ContainsKey(core)
            ? Tucker(read(core), read(name + "_a"), read(name + "_b"))
            : read(name + "_a").mm(read(name + "_b").flatten(1));
    }

    /// <summary>LoKr (arXiv 2309.14859): the Kronecker product of two matrices, each whole or a product itself.</summary>
    private sealed record Kronecker(IReadOnlyDictionary<string, TensorInfo> Parts, long Rows, long Columns, long? Rank)
        : LoraProduct(Parts, Rows, Columns, Rank)
    {
        public static new Kronecker Of(IReadOnlyDictionary<string, TensorInfo> parts)
        {
            var (first, second) = (Whole(parts, "lokr_w1", "lokr_t1"), Whole(parts, "lokr_w2", "lokr_t2"));
            var product = parts.GetValueOrDefault("lokr_w2_b") ?? parts.GetValueOrDefault("lokr_w1_b");
            return new(parts, checked(first.Rows * second.Rows), checked(first.Columns * second.Columns), product?.Shape[0]);
        }

        public override Tensor Compute(Func<string, Tensor> read) =>
            kron(Whole(read, "lokr_w1", "lokr_t1"), Whole(read, "lokr_w2", "lokr_t2"));

        private static (long Rows, long Columns) Whole(IReadOnlyDictionary<string, TensorInfo> parts, string name, string core) =>
            parts.GetValueOrDefault(name) is not { } whole ? Factor(parts, name, core)
            : whole.Shape.Count is 2 or 4 && !parts.ContainsKey(name + "_a") && !parts.ContainsKey(name + "_b")
                ? (whole.Shape[0], Count(whole.Shape.Skip(1)))
            : throw Shapes(parts.Values);

        private Tensor Whole(Func<string, Tensor> read, string name, string core) => Parts.ContainsKey(name) ? read(name).flatten(1)
            : Parts.ContainsKey(core) ? Tucker(read(core), read(name + "_a"), read(name + "_b"))
            : read(name + "_a").mm(read(name + "_b").flatten(1));
    }

    /// <summary>The size of a product of two matrices, or of a core and two matrices.</summary>
    private static (long Rows, long Columns) Factor(IReadOnlyDictionary<string, TensorInfo> parts, string name, string coreName)
    {
        var (a, b, core) = (Need(parts, name + "_a"), Need(parts, name + "_b"), parts.GetValueOrDefault(coreName));
        if (!IsMatrix(a) || b.Shape.Count is not (2 or 4))
        {
            throw Shapes(parts.Values);
        }

        if (core is null)
        {
            return a.Shape[1] == b.Shape[0] ? (a.Shape[0], Count(b.Shape.Skip(1))) : throw Shapes(parts.Values);
        }

        return IsMatrix(b) && core.Shape.Count == 4 && core.Shape[0] == a.Shape[0] && core.Shape[1] == b.Shape[0]
            ? (a.Shape[1], checked(b.Shape[1] * core.Shape[2] * core.Shape[3]))
            : throw Shapes(parts.Values);
    }
}
