using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Blends the modified branch's subject tokens, and those of no subject in scenes of one location, after another processor has
/// attended; heads are compared and blended as one.</summary>
internal sealed class HarmonizationProcessor(StoryState story, HarmonizationOptions options, IAttentionProcessor inner)
    : IAttentionProcessor
{
    public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
    {
        var attended = inner.Attend(layer, inputs, context);
        var alpha = story.AlphaAt(layer, context);
        var isRecorded = story.Recorder is not null && (alpha.Subjects > 0 || story.SharingAt(layer, context).Strength > 0);
        if ((alpha is (0, 0) && !isRecorded) || story.TokensOf(layer, inputs) is not { } tokens)
        {
            return attended;
        }

        using var scope = NewDisposeScope();
        var merged = story.Writable(attended).transpose(1, 2).contiguous().flatten(2);
        var batch = story.BatchOf(context);
        var rows = batch.ModifiedRows;
        if (isRecorded)
        {
            Record(layer, inputs, context, tokens, merged, alpha.Subjects > 0);
        }

        if (alpha is not (0, 0) && story.KeptAt(layer, inputs, context) is { HasOutputs: true } kept)
        {
            var images = kept.WithOutputs(batch.Modified(merged));
            Blend(images, kept.Tokens, new(batch.Halves, kept.Tokens.Images));
            merged = batch.Join(kept.Scenes(images), batch.HasBase ? batch.Unmodified(merged) : null);
        }
        else
        {
            Blend(merged, tokens, rows);
        }

        return merged.unflatten(2, [attended.shape[1], attended.shape[3]]).transpose(1, 2).MoveToOuterDisposeScope();

        void Blend(Tensor hidden, SubjectTokens tokens, ImageRows rows)
        {
            for (var subject = 0; subject <= tokens.Location; subject++)
            {
                Harmonization.Blend(
                    hidden, hidden, tokens, subject, rows, subject == tokens.Location ? alpha.Location : alpha.Subjects,
                    options.Threshold!.Value, options.Temperature!.Value);
            }
        }
    }

    private void Record(
        AttentionLayer layer, AttentionInputs inputs, AttentionContext context, SubjectTokens tokens, Tensor merged, bool isHarmonized)
    {
        using var scope = NewDisposeScope();
        var batch = story.BatchOf(context);
        int[][][] places = [.. Enumerable.Range(0, tokens.Images).Select(image =>
            Enumerable.Range(0, tokens.Subjects).Select(subject => tokens.Of(image, subject)).ToArray())];
        var positions = places.Select(ofImage => (IReadOnlyList<IReadOnlyList<int>>)
            [.. ofImage.Select(ofSubject => Array.ConvertAll(ofSubject, place => place - tokens.TextTokens))]).ToList();
        foreach (var (half, branch) in story.HalvesOf(context).Index())
        {
            long[] chosen = [.. places.SelectMany((ofImage, image) => ofImage.SelectMany(ofSubject => ofSubject)
                .Select(place => (batch.ModifiedRows.Of(half, image) * tokens.Length) + place))];
            var at = DeviceTransfer.Send(tensor(chosen), merged.device);
            story.Recorder!.Write(new(context.Step, layer.Path, branch), new(
                positions,
                inputs.Key.transpose(1, 2).flatten(0, 1).index_select(0, at),
                inputs.Value.transpose(1, 2).flatten(0, 1).index_select(0, at),
                isHarmonized ? merged.flatten(0, 1).index_select(0, at) : null));
        }
    }
}
