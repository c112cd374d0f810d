using StorySync.Attention;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Who reads whom, on the queries, keys and values that a FLUX model's own layers make.</summary>
public class FluxSharingTests(FluxModel model) : IClassFixture<FluxModel>
{
    private const int Scenes = 3;

    /// <summary>The image tokens on each side.</summary>
    private const int Side = 4;

    /// <summary>The subject that each image token belongs to: a fox (1), a bear (2) or none (0).</summary>
    private static readonly int[] Labels = [0, 1, 1, 0, 0, 1, 1, 0, 2, 2, 0, 0, 2, 2, 0, 0];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_is_outside_the_masks_stays_in_its_image(bool matchPositions) => EachLayer(matchPositions, (attend, inputs, text) =>
    {
        var before = attend(inputs);
        foreach (var token in new[] { 0, text - 1, text, text + Labels.Length - 1 })
        {
            var after = attend(Changed(inputs, scene: 1, token));

            TensorAssert.SameBits(before[0], after[0]);
            Assert.False(before[1].SameBitsAs(after[1]));
            TensorAssert.SameBits(before[2], after[2]);
        }
    });

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_is_inside_a_mask_reaches_the_same_subject_in_other_images_and_nothing_else(bool matchPositions) =>
        EachLayer(matchPositions, (attend, inputs, text) =>
        {
            var before = attend(inputs);
            for (var subject = 1; subject <= 2; subject++)
            {
                var after = attend(Changed(inputs, scene: 1, text + Array.IndexOf(Labels, subject)));
                foreach (var scene in new[] { 0, 2 })
                {
                    TensorAssert.SameBits(before[scene].narrow(1, 0, text), after[scene].narrow(1, 0, text));
                    for (var token = 0; token < Labels.Length; token++)
                    {
                        var same = before[scene].select(1, text + token).SameBitsAs(after[scene].select(1, text + token));
                        Assert.Equal(Labels[token] != subject, same);
                    }
                }
            }
        });

    private static Tensor Changed(Tensor tokens, int scene, int token)
    {
        var changed = tokens.clone();
        changed[scene].select(1, token).add_(0.5);
        return changed;
    }

    private static AttentionInputs Changed(AttentionInputs inputs, int scene, int token) => inputs with
    {
        Query = Changed(inputs.Query, scene, token),
        Key = Changed(inputs.Key, scene, token),
        Value = Changed(inputs.Value, scene, token),
    };

    /// <summary>Calls with every layer of the model: what it attends to when scenes share, its inputs, the number of text tokens.</summary>
    private void EachLayer(bool matchPositions, Action<Func<AttentionInputs, Tensor>, AttentionInputs, int> check)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var recorder = new RecordingProcessor(keepInputs: true);
        model.Schnell.Generate(new FluxRequest
        {
            Prompts = ["a fox and a bear in the forest", "a fox and a bear at the beach", "a fox and a bear in the snow"],
            Height = Side * model.Schnell.SizeMultiple,
            Width = Side * model.Schnell.SizeMultiple,
            Steps = 1,
            MaxSequenceLength = 24,
            LatentsOnly = true,
            AttentionProcessor = recorder,
        }).Dispose();

        var options = StoryAttentionOptions.Disabled with { Sharing = new() { MatchPositions = matchPositions } };
        Assert.Equal(model.Schnell.AttentionProcessors.Layers, recorder.Calls.Select(call => call.Layer));
        foreach (var call in recorder.Calls)
        {
            var (layer, inputs) = (call.Layer, call.Inputs!);
            using var story = new StoryAttention(options, [Subject("fox", 1), Subject("bear", 2)], Scenes, guidance: false);
            check(changed => story.Attend(layer, changed, new AttentionContext()), inputs, inputs.TextTokens);
        }

        static StorySubject Subject(string name, int label) => new(name, [.. Enumerable.Repeat<IReadOnlyList<int>>([], Scenes)])
        {
            Masks = [.. Enumerable.Repeat(tensor(Labels).view(Side, Side).eq(label), Scenes)],
        };
    }
}
