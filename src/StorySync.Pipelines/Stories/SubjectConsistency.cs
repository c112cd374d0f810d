using static TorchSharp.torch;
using static TorchSharp.torch.nn.functional;

namespace StorySync.Pipelines;

/// <summary>Compares subjects in final latents with the same subjects of the anchors: see <see cref="SceneResult.Consistency"/>.</summary>
/// <param name="latents">Final latents of all rows, the anchors' first, (rows, channels, height, width).</param>
/// <param name="anchors">How many anchors there are.</param>
internal sealed class SubjectConsistency(Tensor latents, int anchors)
{
    private const double Lost = -1;

    private readonly Tensor latents = latents.to(ScalarType.Float32, CPU);

    /// <summary>Returns the consistency of an image; null where no subject can be compared.</summary>
    /// <param name="image">Its row.</param>
    /// <param name="subjects">The masks of each subject, (height, width): the anchors', then the image's; null where it is not asked
    /// for.</param>
    public double? Of(int image, IEnumerable<IReadOnlyList<Tensor?>> subjects)
    {
        var scores = new List<double>();
        foreach (var masks in subjects)
        {
            using var scope = NewDisposeScope();
            Tensor[] kept = [.. masks.Take(anchors).Index().Where(mask => IsFound(mask.Item)).Select(mask => Mean(mask.Index, mask.Item!))];
            if (kept.Length > 0 && masks[anchors] is { } own)
            {
                scores.Add(IsFound(own) ? (stack(kept) * Mean(image, own)).sum(1).mean().item<float>() : Lost);
            }
        }

        return scores.Count > 0 ? scores.Average() : null;
    }

    private static bool IsFound(Tensor? mask) => mask is not null && mask.any().item<bool>();

    /// <summary>The direction of the mean of a subject's cells, (channels,).</summary>
    private Tensor Mean(int row, Tensor mask)
    {
        var cells = adaptive_avg_pool2d(latents.narrow(0, row, 1), [mask.shape[0], mask.shape[1]])[0].flatten(1);
        return normalize(cells.t()[mask.flatten().cpu()].mean([0]), dim: 0);
    }
}
