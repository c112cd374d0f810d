using StorySync.Kernels;
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
        var sharing = story.SharingAt(layer, context);
        var isRecorded = story.Recorder is not null && (alpha is not (0, 0) || sharing.IsOn);
        if ((alpha is (0, 0) && !isRecorded) || story.TokensOf(layer, inputs) is not { } tokens)
        {
            return attended;
        }

        using var scope = NewDisposeScope();
        var merged = story.Writable(attended).transpose(1, 2).contiguous().flatten(2);
        if (isRecorded)
        {
            var isLocated = sharing.LocationStrength > 0 || alpha.Location > 0;
            Record(layer, inputs, context, tokens, isLocated, alpha is (0, 0) ? null : merged);
        }

        var kept = alpha is (0, 0) ? null : story.KeptAt(layer, inputs, context);
        var outputs = kept is { HasOutputs: true } ? kept.OutputsLike(merged) : null;
        tokens = outputs is null ? tokens : kept!.Tokens;
        Blend([.. Enumerable.Range(0, tokens.Location)], alpha.Subjects);
        Blend([tokens.Location], alpha.Location);
        return merged.unflatten(2, [attended.shape[1], attended.shape[3]]).transpose(1, 2).MoveToOuterDisposeScope();

        void Blend(int[] subjects, double share) => Harmonization.Blend(
            merged, merged, tokens, subjects, story.BatchOf(context).ModifiedRows, share, options.Threshold!.Value,
            options.Temperature!.Value, outputs);
    }

    private void Record(
        AttentionLayer layer, AttentionInputs inputs, AttentionContext context, SubjectTokens tokens, bool isLocated, Tensor? outputs)
    {
        using var scope = NewDisposeScope();
        var batch = story.BatchOf(context);
        int[][][] places = [.. Enumerable.Range(0, tokens.Images).Select(image => Enumerable.Range(0, tokens.Subjects + (isLocated ? 1 : 0))
            .Select(subject => tokens.Of(image, subject)).ToArray())];
        var positions = places.Select(ofImage => (IReadOnlyList<IReadOnlyList<int>>)
            [.. ofImage.Select(ofSubject => Array.ConvertAll(ofSubject, place => place - tokens.TextTokens))]).ToList();
        foreach (var (half, branch) in story.HalvesOf(context).Index())
        {
            long[] chosen = [.. places.SelectMany((ofImage, image) => ofImage.SelectMany(ofSubject => ofSubject)
                .Select(place => (batch.ModifiedRows.Of(half, image) * tokens.Length) + place))];
            var at = DeviceTransfer.Send(tensor(chosen), inputs.Key.device);
            story.Recorder!.Write(new(context.Step, layer.Path, branch), new(
                positions,
                inputs.Key.transpose(1, 2).flatten(0, 1).index_select(0, at),
                inputs.Value.transpose(1, 2).flatten(0, 1).index_select(0, at),
                outputs?.flatten(0, 1).index_select(0, at)));
        }
    }
}
