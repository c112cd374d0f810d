using System.Security.Cryptography;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.TextEncoders;

/// <summary>A textual inversion for SDXL (Gal et al., arXiv 2208.01618): a few vectors for each of its text encoders, which stand for a
/// word that they were taught.</summary>
/// <param name="First">The vectors of the first encoder, (vectors, width), float32.</param>
/// <param name="Second">As many for the second.</param>
/// <param name="Hash">What tells its content apart from others.</param>
internal sealed record TextualInversion(Tensor First, Tensor Second, string Hash) : IDisposable
{
    private static readonly (string First, string Second)[] Names = [("clip_l", "clip_g"), ("text_encoders_0", "text_encoders_1")];

    public int Count => (int)First.shape[0];

    /// <param name="path">The file.</param>
    /// <param name="width">The width of the first encoder's vectors.</param>
    /// <param name="width2">That of the second's.</param>
    /// <param name="longest">The most vectors that fit into a prompt.</param>
    /// <exception cref="ModelFileException">The file is missing, damaged, or no textual inversion for SDXL.</exception>
    public static TextualInversion Read(string path, long width, long width2, int longest)
    {
        using var file = SafetensorsFile.Open(path);
        var (first, second) = Array.Find(Names, pair => file.Tensors.ContainsKey(pair.First) && file.Tensors.ContainsKey(pair.Second));
        if (first is null || file.Tensors.Count != 2)
        {
            var found = string.Join(", ", file.Tensors.Values.Take(4)) + (file.Tensors.Count > 4 ? " …" : "");
            throw new ModelFileException(path, (file.Tensors.Count == 1
                ? $"it has vectors for one text encoder ({found}), as textual inversions of Stable Diffusion 1 and 2 have"
                : $"it is no textual inversion for SDXL (it has {found})")
                + "; expected two tensors, clip_l and clip_g");
        }

        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        WeightSample.Append(hash, file);
        using var scope = NewDisposeScope();
        var (l, g) = (Vectors(first, width), Vectors(second, width2));
        return l.shape[0] > longest
            ? throw new ModelFileException(path, $"it has {l.shape[0]} vectors, where a prompt of this model has at most {longest} tokens")
            : l.shape[0] == g.shape[0]
            ? new(l.DetachFromDisposeScope(), g.DetachFromDisposeScope(), Convert.ToHexStringLower(hash.GetHashAndReset()))
            : throw new ModelFileException(path, $"it has {l.shape[0]} vectors for one text encoder and {g.shape[0]} for the other; "
                + "expected equally many");

        Tensor Vectors(string name, long expected)
        {
            var info = file.Tensors[name];
            if (!info.Dtype.IsReadableFloat() || info.Shape.Count is not (1 or 2) || info.Shape[^1] != expected || info.Shape[0] == 0)
            {
                throw new ModelFileException(path, $"it has {info}, where this model's text encoder takes (vectors, {expected}) in BF16, "
                    + "F16, F32 or F64: it was made for another model");
            }

            var vectors = file.Read(name).to(float32).reshape(-1, expected).clone();
            return vectors.isfinite().all().item<bool>() ? vectors
                : throw new ModelFileException(path, $"'{name}' holds a value that is not finite in float32; expected numbers");
        }
    }

    public void Dispose()
    {
        First.Dispose();
        Second.Dispose();
    }
}
