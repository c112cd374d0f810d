using StorySync.Attention;
using StorySync.Diffusion.Flux;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

public class FluxStoryTests(FluxModel model) : IClassFixture<FluxModel>
{
    private static readonly StoryOptions Quick = new() { Request = new() { Height = 64, Width = 64, Seed = 5 } };

    private static readonly Story Fox = new()
    {
        Subjects = ["a red fox"],
        Scenes = [new("a red fox in the forest"), new("a red fox at the beach"), new("a red fox in the snow")],
    };

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void With_every_technique_off_the_latents_are_the_plain_pipelines(bool dev)
    {
        var pipeline = dev ? model.Dev : model.Schnell;
        var options = Quick.With(r => r with { Steps = 3 }) with { Techniques = StoryAttentionOptions.Disabled };
        using var plain = Plain(pipeline, Fox, 3);
        using var story = pipeline.GenerateStory(Fox, options);

        TensorAssert.SameBits(plain.Latents, story.Latents);
    }

    [Fact]
    public void With_one_scene_the_latents_are_the_plain_pipelines()
    {
        var single = Fox with { Scenes = [Fox.Scenes[0]] };
        using var plain = Plain(model.Schnell, single, 4);
        using var story = model.Schnell.GenerateStory(single, Quick);

        TensorAssert.SameBits(plain.Latents, story.Latents);
    }

    [Fact]
    public void Same_seed_makes_the_same_story_and_subjects_are_found()
    {
        using var first = model.Schnell.GenerateStory(Fox, Quick);
        using var second = model.Schnell.GenerateStory(Fox, Quick);

        TensorAssert.SameBits(first.Latents, second.Latents);
        Assert.All(first.Scenes, scene => Assert.InRange(scene.Subjects[0].Region!.Area, 0.01, 0.99));
    }

    [Fact]
    public void Scenes_share_within_the_first_of_few_steps_already()
    {
        using var plain = Plain(model.Schnell, Fox, 1);
        using var story = model.Schnell.GenerateStory(Fox, Quick.With(r => r with { Steps = 1 }));

        Assert.False(plain.Latents.SameBitsAs(story.Latents));
    }

    [Fact]
    public void Real_guidance_has_no_part_in_a_story_with_a_negative_prompt()
    {
        using var without = model.Schnell.GenerateStory(Fox, Quick);
        using var with = model.Schnell.GenerateStory(Fox, Quick.With(r => r with { NegativePrompts = ["a house"] }));

        TensorAssert.SameBits(without.Latents, with.Latents);
    }

    [Fact]
    public void A_story_that_sets_one_option_keeps_the_models_others()
    {
        var own = model.Schnell.DefaultTechniques;
        var merged = new StoryAttentionOptions { Sharing = new() { Strength = 0.5 } }.Over(own);

        Assert.Equal(own with { Sharing = own.Sharing! with { Strength = 0.5 } }, merged);
        Assert.NotEqual("*", merged.Sharing!.Layers);
        using var one = model.Schnell.GenerateStory(Fox, Quick with { Techniques = new() { Sharing = new() { Strength = 1 } } });
        using var none = model.Schnell.GenerateStory(Fox, Quick);
        TensorAssert.SameBits(one.Latents, none.Latents);
    }

    [Fact]
    public void Sharing_keeps_to_the_blocks_that_go_by_content()
    {
        var techniques = FluxTechniques.For(new FluxTransformer2DConfig(), fewSteps: true);

        int[] blocks = [.. techniques.Sharing!.Layers!.Split(", ").Select(Number)];
        Assert.Equal([0, 7, 8, 9, 10, 18, 25, 28, 37, 42, 45, 50, 56], blocks);
        Assert.Equal(techniques.Sharing!.Layers!, techniques.Harmonization!.Layers);

        static int Number(string path) => path.Split('.') is ["transformer_blocks", var block, "attn"]
            ? int.Parse(block)
            : 19 + int.Parse(path.Split('.')[1]);
    }

    [Theory]
    [InlineData(2, 3)]
    [InlineData(1, 2)]
    [InlineData(8, 38)]
    [InlineData(0, 5)]
    [InlineData(5, 0)]
    public void In_a_model_of_another_depth_the_default_layers_are_layers_of_the_model(int doubles, int singles)
    {
        var techniques = FluxTechniques.For(new FluxTransformer2DConfig { NumLayers = doubles, NumSingleLayers = singles }, fewSteps: true);
        HashSet<string> paths =
        [
            .. Enumerable.Range(0, doubles).Select(i => $"transformer_blocks.{i}.attn"),
            .. Enumerable.Range(0, singles).Select(i => $"single_transformer_blocks.{i}.attn"),
        ];

        Assert.Subset(paths, techniques.Sharing!.Layers!.Split(", ").ToHashSet());
        if (techniques.Masks!.ReadyAfterLayers is > 0 and var layers)
        {
            Assert.Equal(layers, techniques.Masks.Layers!.Split(", ").Count(paths.Contains));
        }
    }

    [Fact]
    public void In_four_steps_layout_is_kept_in_the_first_and_the_last_is_not_harmonized()
    {
        var techniques = model.Schnell.DefaultTechniques;

        Assert.Equal([true, false, false, false],
            Enumerable.Range(0, 4).Select(step => LayoutInterpolation.Weight(step, 4, until: techniques.Layout!.Until!.Value) > 0));
        Assert.Equal([false, true, true, false], Enumerable.Range(0, 4).Select(step => techniques.Harmonization!.Steps!.Contains(step, 4)));
    }

    private static GenerationResult Plain(FluxPipeline pipeline, Story story, int steps) => pipeline.Generate(new GenerationRequest
    {
        Prompts = [.. story.Scenes.Select(scene => scene.Prompt)],
        Height = Quick.Request!.Height,
        Width = Quick.Request!.Width,
        Steps = steps,
        Seed = Quick.Request!.Seed,
        LatentsOnly = true,
    });
}

[Collection(typeof(AloneCollection))]
public class FluxMemoryTests(FluxModel model) : IClassFixture<FluxModel>
{
    [Fact]
    public void A_run_with_a_block_cache_leaves_no_tensor_behind() => LiveTensors.AssertNoneLeft(() => model.Schnell.Generate(
        new GenerationRequest { Prompts = ["a fox"], Height = 64, Width = 64, Steps = 6, BlockCacheThreshold = 0.8 }).Dispose());

    [Fact]
    public void A_story_leaves_no_tensor_behind()
    {
        var pipeline = model.Schnell;
        var options = new StoryOptions
        {
            Request = new() { Height = 64, Width = 64 },
            Techniques = new() { Sharing = new() { MatchPositions = true, SubjectQueriesOnly = false } },
        };
        var story = new Story { Subjects = ["a fox"], Scenes = [new("a fox in the forest"), new("a fox at the beach")] };
        LiveTensors.AssertNoneLeft(() => pipeline.GenerateStory(story, options).Dispose());
    }
}
