using System.Numerics.Tensors;

namespace StorySync.Evaluation;

/// <summary>Provides the similarity of images by CLIP.</summary>
public static class ClipI
{
    /// <summary>Returns the mean cosine over all pairs of images, −1 … 1, higher is more alike: <c>2 / (n (n − 1)) Σ_{i&lt;j} a_i · a_j /
    /// (|a_i| |a_j|)</c>.</summary>
    /// <remarks>CLIP-I of DreamBooth (arXiv 2208.12242, section 4.1), here between the scenes of a story as in StorySync
    /// (arXiv 2508.03735). Of what is the caller's choice: whole images, or the subject alone (<see cref="SubjectImages"/>), which
    /// does not reward images for having the same background.</remarks>
    /// <param name="embeddings">The vectors of the images, at least two.</param>
    /// <exception cref="ArgumentException">There are fewer than two.</exception>
    public static double Mean(IReadOnlyList<float[]> embeddings) =>
        Pairs.Mean(embeddings, (a, b) => TensorPrimitives.CosineSimilarity(a, b));

    /// <summary>Returns the mean cosine over each image of some with each of others, −1 … 1, higher is more alike: how near new images of a
    /// subject are to earlier ones.</summary>
    /// <param name="first">The vectors of images, at least one.</param>
    /// <param name="second">The vectors of the others, at least one.</param>
    /// <exception cref="ArgumentException">There are none.</exception>
    public static double Between(IReadOnlyList<float[]> first, IReadOnlyList<float[]> second) =>
        Pairs.Mean(first, second, (a, b) => TensorPrimitives.CosineSimilarity(a, b));
}
