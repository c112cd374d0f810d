using StorySync.Attention;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Computes the most bytes that a bank of a story's scenes has.</summary>
/// <param name="pipeline">The model.</param>
/// <param name="generation">The run of the scenes.</param>
/// <param name="attention">The run's attention.</param>
/// <param name="story">The scenes, without a cast.</param>
/// <param name="maskSide">The height and width of the largest mask.</param>
internal sealed class BankSize(
    DiffusionPipeline pipeline, Generation generation, StoryAttention attention, Story story, int maskSide)
{
    private int Images => story.Scenes.Count;

    private int Steps => generation.ModelCalls;

    private long Portraits => 3L * Images * generation.Height * generation.Width;

    private long Latents => pipeline.LatentShape(Images, generation.Height, generation.Width)
        .Aggregate((long)sizeof(float), (bytes, length) => bytes * length);

    private long MasksOfStep => (long)Images * story.Subjects.Count * maskSide * maskSide;

    /// <summary>Returns the latents of every step, of both branches where there are two, and the masks after each step but the
    /// last.</summary>
    public long OfTrajectory()
    {
        var kept = Enumerable.Range(0, Steps).Sum(step => attention.BatchAt(step, Steps).HasBase ? 2 : 1);
        var masks = StoryRules.FoundSubjects(story, Images).Any() ? (Steps - 1) * MasksOfStep : 0;
        return Portraits + (kept * Latents) + masks;
    }

    /// <summary>Returns the keys of all tokens, as if the subjects filled the images, with the last latents and masks.</summary>
    /// <param name="dtype">The type of the keys.</param>
    public long OfKeys(ScalarType dtype)
    {
        var layers = pipeline.AttentionProcessors.Layers.Where(layer => layer.Kind != AttentionKind.Cross)
            .Select(layer => (Layer: layer, Tokens: Images * pipeline.ImageTokens(layer, generation.Height, generation.Width))).ToList();
        var ofToken = (long)dtype.ElementSize();
        var keys = 0L;
        for (var step = 0; step < Steps; step++)
        {
            foreach (var (layer, tokens) in layers)
            {
                var (halves, parts) = attention.RecordedAt(layer, step, Steps);
                keys += tokens * ((parts * ofToken * layer.Heads * layer.HeadWidth) + (halves * sizeof(int)));
            }
        }

        return Portraits + keys + Latents + MasksOfStep;
    }
}
