using System.Numerics.Tensors;

namespace StorySync.Evaluation;

/// <summary>Provides the similarity of an image and its prompt by CLIP.</summary>
public static class ClipT
{
    /// <summary>Returns the cosine of an image and a text, −1 … 1: <c>a · t / (|a| |t|)</c>.</summary>
    /// <param name="image">The image's vector.</param>
    /// <param name="text">The text's vector.</param>
    public static double Cosine(float[] image, float[] text) => TensorPrimitives.CosineSimilarity(image, text);

    /// <summary>Returns the CLIPScore (Hessel et al., arXiv 2104.08718, section 3), 0 … 2.5, higher is better: <c>2.5 · max(cos,
    /// 0)</c>.</summary>
    /// <param name="cosine">The cosine of image and text.</param>
    public static double Score(double cosine) => 2.5 * Math.Max(cosine, 0);
}
