using StorySync.Diffusion.Weights;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Lora;

/// <summary>What a LoRA adds to one layer.</summary>
/// <param name="File">The file that holds the tensors.</param>
/// <param name="Name">The layer's name in the file.</param>
/// <param name="Product">What the tensors make.</param>
/// <param name="Scale">The factor of the product: alpha / rank, or what the file's metadata makes of it.</param>
internal sealed record LoraLayer(SafetensorsFile File, string Name, LoraProduct Product, double Scale)
{
    // Where a row is all zeros there is nothing to give another length to.
    private const double SmallestNorm = 1e-30;

    private TensorInfo? Magnitude => Product.Parts.GetValueOrDefault(LoraProduct.Magnitude);

    /// <summary>Whether the layer, or the part of it that is the weight's, has a weight's size.</summary>
    public bool Fits(long[] shape, TensorForm form) => shape.Length >= 2
        && form.Of([Product.Rows, Product.Columns])
            .SequenceEqual([shape[0], shape.Skip(1).Aggregate(1L, (product, size) => product * size)])
        && (Magnitude is not { } lengths || FitsMagnitude(lengths, shape, form));

    /// <summary>Checks that the layer, or the part of it that is the weight's, can be added to a weight.</summary>
    /// <exception cref="ModelFileException">The tensors do not fit the weight or hold a value that is not finite.</exception>
    public void Check(Tensor weight, TensorForm form)
    {
        var shape = weight.shape;
        if (!Fits(shape, form))
        {
            var shapes = Product.Parts.Values.Select(info => $"{ShapeText.Of(info.Shape)}");
            throw new ModelFileException(File.Path, $"layer '{Name}' has matrices of {string.Join(" and ", shapes)}, "
                + $"which do not fit a weight of {ShapeText.Of(shape)}; the LoRA was made for another model");
        }

        foreach (var info in Product.Parts.Values)
        {
            // As they are merged: a double may be too large for that.
            using var scope = NewDisposeScope();
            if (!File.Read(info.Name).to(float32).isfinite().all().item<bool>())
            {
                throw new ModelFileException(File.Path,
                    $"'{info.Name}' holds a value that is not finite in float32; expected numbers. Training has failed, or the file is damaged");
            }
        }
    }

    /// <summary>Computes what is added to a weight, or to the part of it that is the layer's, in the shape of the weight; float32 on the
    /// weight's device.</summary>
    public Tensor Delta(Tensor weight, TensorForm form)
    {
        using var scope = NewDisposeScope();
        var delta = form.Of(Product.Compute(Read)).Times(Scale).reshape(weight.shape);
        if (Magnitude is { } lengths)
        {
            // DoRA (arXiv 2402.09353): the sum in another length.
            var before = weight.to(float32);
            var after = before.Plus(delta);
            var ofRows = IsOfRows(lengths);
            var length = ofRows ? form.Of(Read(LoraProduct.Magnitude).view(-1)) : Read(LoraProduct.Magnitude).view(-1);
            long[] shape = [.. Enumerable.Range(0, (int)weight.dim()).Select(axis => axis == (ofRows ? 0 : 1) ? -1L : 1L)];
            long[] others = [.. Enumerable.Range(0, (int)weight.dim()).Where(axis => axis != (ofRows ? 0 : 1)).Select(axis => (long)axis)];
            var norm = after.mul(after).sum(others, keepdim: true).sqrt().Clamp(SmallestNorm, double.PositiveInfinity);
            delta = after.mul(length.view(shape)).div(norm).Plus_(before, -1);
        }

        return delta.MoveToOuterDisposeScope();

        Tensor Read(string name) => File.Read(Product.Parts[name].Name).to(float32).to(weight.device);
    }

    /// <summary>Whether lengths are those of the rows, (out), (out, 1) …, and not of the columns, (1, in) ….</summary>
    private bool IsOfRows(TensorInfo lengths) => lengths.Shape.Count > 0 && lengths.Shape[0] == Product.Rows;

    private bool FitsMagnitude(TensorInfo lengths, long[] shape, TensorForm form)
    {
        var count = lengths.Shape.Aggregate(1L, (product, size) => product * size);
        return IsOfRows(lengths) ? count == Product.Rows : form == TensorForm.Whole && count == shape[1];
    }
}
