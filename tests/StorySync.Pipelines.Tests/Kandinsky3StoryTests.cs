using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Kandinsky3;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Stories on Kandinsky 3. The weights are random: what is shown is what reaches what, not how it looks.</summary>
public class Kandinsky3StoryTests(Kandinsky3Model model) : IClassFixture<Kandinsky3Model>
{
    private static readonly Story Friends = new()
    {
        Subjects = ["a red fox", "the lighthouse keeper"],
        Scenes =
        [
            new("a red fox walks with the lighthouse keeper through the snow"),
            new("the lighthouse keeper tells a story to a red fox at dawn"),
        ],
    };

    private static readonly StoryOptions Quick =
        new() { Request = new() { Steps = 3, GuidanceScale = 3, Seed = 5, Height = 128, Width = 192 } };

    private Kandinsky3Pipeline Pipeline => model.Pipeline;

    [Theory]
    [InlineData(3.0)]
    [InlineData(1.0)]
    public void With_every_technique_off_the_latents_are_the_plain_pipelines(double guidanceScale)
    {
        var options = Quick.With(r => r with { GuidanceScale = guidanceScale }) with { Techniques = StoryAttentionOptions.Disabled };
        using var plain = Plain(Friends, options);
        using var story = Pipeline.GenerateStory(Friends, options);

        TensorAssert.SameBits(plain.Latents, story.Latents);
    }

    [Fact]
    public void With_one_scene_the_latents_are_the_plain_pipelines()
    {
        var single = Friends with { Scenes = [Friends.Scenes[0]] };
        using var plain = Plain(single, Quick);
        using var story = Pipeline.GenerateStory(single, Quick);

        TensorAssert.SameBits(plain.Latents, story.Latents);
    }

    [Fact]
    public void The_techniques_change_the_pictures_and_do_it_the_same_way_again()
    {
        using var plain = Plain(Friends, Quick);
        using var first = Pipeline.GenerateStory(Friends, Quick);
        using var second = Pipeline.GenerateStory(Friends, Quick);

        TensorAssert.SameBits(first.Latents, second.Latents);
        Assert.False(plain.Latents.SameBitsAs(first.Latents));
        Assert.All(first.Scenes, scene => Assert.Equal(2, scene.Subjects.Count(subject => subject.Region is not null)));
        Assert.All(first.Scenes, scene =>
            Assert.Equal(Quick.Request!.Height * scene.Subjects[0].Region!.Width, Quick.Request!.Width * scene.Subjects[0].Region!.Height));
    }

    [Fact]
    public void By_default_scenes_read_each_other_in_the_positive_half_alone_once_layouts_stand()
    {
        var own = Pipeline.DefaultTechniques;
        Assert.Equal(
            StoryAttentionOptions.Default with
            {
                NegativeHalf = false, Sharing = StoryAttentionOptions.Default.Sharing! with { Steps = new(0.3, 1) },
            },
            own);

        using var both = Pipeline.GenerateStory(Friends, Quick with { Techniques = new() { NegativeHalf = true } });
        using var one = Pipeline.GenerateStory(Friends, Quick with { Techniques = new() { NegativeHalf = false } });
        using var story = Pipeline.GenerateStory(Friends, Quick);
        TensorAssert.SameBits(one.Latents, story.Latents);
        Assert.False(both.Latents.SameBitsAs(story.Latents));
    }

    [Fact]
    public void A_scene_reads_only_what_is_inside_the_others_mask()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var inputs = Inputs();
        var (left, right) = (Half(1, 0), Half(1, 1));
        StorySubject[] subjects = [new("fox", [[], []]) { Masks = [left, right] }];
        foreach (var layer in SelfAttention())
        {
            // Only this layer shares, so that what it lets through is all that can reach the other scene's prediction.
            var undisturbed = Run(inputs, subjects, layer, Place.None);
            var outside = Run(inputs, subjects, layer, Place.TopRight);
            var inside = Run(inputs, subjects, layer, Place.TopLeft);

            Assert.False(undisturbed.Prediction[0].SameBitsAs(outside.Prediction[0]), layer);
            Assert.True(undisturbed.Prediction[1].SameBitsAs(outside.Prediction[1]), layer);
            Assert.False(undisturbed.Prediction[1].SameBitsAs(inside.Prediction[1]), layer);
            Assert.Equal(new bool[outside.Grid.Tokens], Changed(undisturbed.Attended, outside.Attended));
            Assert.Equal(Cells(right, inside.Grid), Changed(undisturbed.Attended, inside.Attended));
        }
    }

    [Fact]
    public void Two_subjects_stay_apart()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var inputs = Inputs();
        var (left, right, top, bottom) = (Half(1, 0), Half(1, 1), Half(0, 0), Half(0, 1));
        StorySubject[] subjects =
        [
            new("fox", [[], []]) { Masks = [left, top] },
            new("keeper", [[], []]) { Masks = [right, bottom] },
        ];
        foreach (var layer in SelfAttention())
        {
            var undisturbed = Run(inputs, subjects, layer, Place.None);
            var fox = Run(inputs, subjects, layer, Place.TopLeft);
            var keeper = Run(inputs, subjects, layer, Place.TopRight);

            Assert.Equal(Cells(top, fox.Grid), Changed(undisturbed.Attended, fox.Attended));
            Assert.Equal(Cells(bottom, keeper.Grid), Changed(undisturbed.Attended, keeper.Attended));
        }
    }

    /// <summary>Where the first scene's keys and values are disturbed.</summary>
    private enum Place
    {
        None,
        TopLeft,
        TopRight,
    }

    /// <summary>A mask over one half of an image, along an axis.</summary>
    private static Tensor Half(int axis, int which)
    {
        var mask = zeros(2, 2, dtype: ScalarType.Bool);
        mask.select(axis, which).fill_(true);
        return mask;
    }

    /// <summary>The mask's tokens on a grid whose sides are even.</summary>
    private static bool[] Cells(Tensor mask, TokenGrid grid) =>
        mask.repeat_interleave(grid.Height / 2, 0).repeat_interleave(grid.Width / 2, 1).contiguous().data<bool>().ToArray();

    /// <summary>Which tokens of (heads, tokens, width) differ.</summary>
    private static bool[] Changed(Tensor a, Tensor b) => a.ne(b).any(2).any(0).contiguous().data<bool>().ToArray();

    private GenerationResult Plain(Story story, StoryOptions options) => model.Pipeline.Generate(new GenerationRequest
    {
        Prompts = [.. story.Scenes.Select(scene => scene.Prompt)],
        Steps = options.Request!.Steps,
        GuidanceScale = options.Request.GuidanceScale,
        Seed = options.Request.Seed,
        Height = options.Request.Height,
        Width = options.Request.Width,
        LatentsOnly = true,
    });

    private IEnumerable<string> SelfAttention() =>
        model.Pipeline.AttentionProcessors.Layers.Where(l => l.Kind == AttentionKind.Self).Select(l => l.Path);

    private Kandinsky3Inputs Inputs()
    {
        var embeddings = model.Pipeline.Encode(
            new GenerationRequest { Prompts = [.. Friends.Scenes.Select(s => s.Prompt)] }, 128, 128, guidance: false, default);
        return ((Kandinsky3Embeddings)embeddings).Inputs(Seeded.Normal(2, 4, 16, 16), tensor(500f));
    }

    private (Tensor Prediction, Tensor Attended, TokenGrid Grid) Run(
        Kandinsky3Inputs inputs, IReadOnlyList<StorySubject> subjects, string layer, Place place)
    {
        var techniques = StoryAttentionOptions.Disabled with { Sharing = new() { Layers = layer } };
        using var story = new StoryAttention(techniques, subjects, scenes: 2, guidance: false);
        var disturbing = new Disturbing(story, layer, place);
        var prediction = model.Pipeline.UNet.call(inputs, new DenoisingContext { Processor = disturbing });
        return (prediction, disturbing.Attended!, disturbing.Grid);
    }

    /// <summary>Changes a key and a value of the first scene in one layer, and keeps what the second scene gets there.</summary>
    private sealed class Disturbing(IAttentionProcessor inner, string path, Place place) : IAttentionProcessor
    {
        public Tensor? Attended { get; private set; }

        public TokenGrid Grid { get; private set; }

        public Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
        {
            if (layer.Path != path)
            {
                return inner.Attend(layer, inputs, context);
            }

            Grid = inputs.Grid;

            // The value changes so much that whoever reads it at all shows it.
            inputs = inputs with { Key = Disturb(inputs.Key, by: 1), Value = Disturb(inputs.Value, by: 100) };
            var attended = inner.Attend(layer, inputs, context);
            Attended = attended[1].clone().DetachFromDisposeScope();
            return attended;
        }

        private Tensor Disturb(Tensor tokens, double by)
        {
            var disturbed = tokens.clone();
            if (place != Place.None)
            {
                disturbed.select(0, 0).select(1, place == Place.TopLeft ? 0 : Grid.Width - 1).add_(by);
            }

            return disturbed;
        }
    }

    [Collection(typeof(AloneCollection))]
    public sealed class Memory(Kandinsky3Model model) : IClassFixture<Kandinsky3Model>
    {
        [Fact]
        public void A_story_leaves_no_tensor_behind()
        {
            var pipeline = model.Pipeline;
            LiveTensors.AssertNoneLeft(() => pipeline.GenerateStory(Friends, Quick).Dispose());
            LiveTensors.AssertNoneLeft(() =>
                pipeline.GenerateStory(Friends, Quick.With(r => r with { BlockCacheThreshold = 2 })).Dispose());
        }

        [Fact]
        public void A_pipeline_frees_its_models() => LiveTensors.AssertNoneLeft(() => Kandinsky3Model.Load().Dispose());
    }
}
