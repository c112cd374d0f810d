using StorySync.Diffusion.Weights;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Lora;

/// <summary>What a LoRA adds to one layer.</summary>
/// <param name="File">The file that holds the matrices.</param>
/// <param name="Name">The layer's name in the file.</param>
/// <param name="UpName">The name of the matrix (out, rank).</param>
/// <param name="DownName">The name of the matrix (rank, in).</param>
/// <param name="Rank">The rank.</param>
/// <param name="Scale">The factor of the product: alpha / rank, or what the file's metadata makes of it.</param>
internal sealed record LoraLayer(SafetensorsFile File, string Name, string UpName, string DownName, long Rank, double Scale)
{
    /// <summary>Checks that the layer, or the part of it that is the weight's, can be added to a weight.</summary>
    /// <exception cref="ModelFileException">The matrices do not fit the weight or hold a value that is not finite.</exception>
    public void Check(Tensor weight, TensorForm form)
    {
        var (up, down, shape) = (form.Of(File.Tensors[UpName].Shape), File.Tensors[DownName].Shape, weight.shape);
        if (shape.Length < 2 || up[0] != shape[0] || Values(up) / Rank != shape[0] || Values(down) / Rank != weight.numel() / shape[0])
        {
            throw new ModelFileException(File.Path, $"layer '{Name}' has matrices of {ShapeText.Of(File.Tensors[UpName].Shape)} and {ShapeText.Of(down)}, "
                + $"which do not fit a weight of {ShapeText.Of(shape)}; the LoRA was made for another model");
        }

        foreach (var name in (string[])[UpName, DownName])
        {
            using var scope = NewDisposeScope();
            if (!File.Read(name).isfinite().all().item<bool>())
            {
                throw new ModelFileException(File.Path,
                    $"'{name}' holds a value that is not finite; expected numbers. Training has failed, or the file is damaged");
            }
        }

        static long Values(IReadOnlyList<long> shape) => shape.Aggregate(1L, (product, size) => product * size);
    }

    /// <summary>Computes the scaled product of the two matrices, or the part of it that is the layer's, in the shape of the weight; float32 on
    /// the weight's device.</summary>
    public Tensor Delta(Tensor weight, TensorForm form)
    {
        using var scope = NewDisposeScope();
        var (down, up) = (Read(DownName), form.Of(Read(UpName)));
        return up.flatten(1).mm(down.flatten(1)).Times(Scale).reshape(weight.shape).MoveToOuterDisposeScope();

        Tensor Read(string name) => File.Read(name).to(float32).to(weight.device);
    }
}
