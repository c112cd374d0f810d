using StorySync.Pipelines;
using StorySync.TestSupport;

namespace StorySync.Extensions.Tests;

/// <summary>Banks, further scenes and second passes by a model of an application.</summary>
public class BankTests
{
    private static readonly Story Bear = new() { Subjects = ["a bear"], Scenes = [new("a bear standing"), new("a bear waving")] };

    private static readonly Scene[] Further = [new("a bear jumping") { Seed = 8 }, new("a bear in the snow") { Seed = 4 }];

    private static readonly StoryOptions Options = new() { Request = Hosts.Quick with { Prompts = [] } };

    [Fact]
    public async Task What_the_model_makes_of_a_bank_is_the_pipelines()
    {
        using var folder = new TemporaryFolder();
        using var host = Hosts.WithStorybook();
        var model = host.Model();
        using (var made = await model.CreateBankAsync(Bear, Options))
        {
            made.Save(folder.PathOf("bear.storybank"));
        }

        using var bank = StoryBank.Load(folder.PathOf("bear.storybank"));
        using var scenes = await model.GenerateScenesAsync(bank, Further);
        using var story = await model.GenerateStoryAsync(
            Bear with { Scenes = [.. Bear.Scenes, .. Further] }, Options with { Anchors = 2 });
        using var redrawn = await model.RedrawSceneAsync(story, 3, Further[1] with { Seed = 60 });
        var larger = Options with { Request = Options.Request! with { Height = 128, Width = 128, Strength = 0.5 } };
        using var large = await model.RefineStoryAsync(story, options: larger);

        var pipeline = await model.LoadAsync();
        using var ownScenes = pipeline.GenerateScenes(bank, Further);
        using var ownRedrawn = pipeline.RedrawScene(story, 3, Further[1] with { Seed = 60 });
        using var ownLarge = pipeline.RefineStory(story, options: larger);
        TensorAssert.SameBits(ownScenes.Latents, scenes.Latents);
        TensorAssert.SameBits(ownScenes.Latents, story.Latents.narrow(0, 2, 2));
        TensorAssert.SameBits(ownRedrawn.Latents, redrawn.Latents);
        TensorAssert.SameBits(ownLarge.Latents, large.Latents);
        Assert.Equal(
            [2, 2, 4, 1, 4],
            host.Log().Select(record => record.Message)
                .Where(message => message.StartsWith("storybook has generated", StringComparison.Ordinal))
                .Select(message => message["storybook has generated ".Length] - '0'));
    }

    [Fact]
    public async Task What_does_not_fit_a_bank_is_refused_without_waiting()
    {
        using var host = Hosts.WithStorybook();
        var model = host.Model();
        using var bank = await model.CreateBankAsync(Bear, Options);
        using var story = await model.GenerateStoryAsync(Bear, Options);
        var release = new TaskCompletionSource();
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var busy = model.GenerateAsync(Hosts.Quick with
        {
            OnStep = _ =>
            {
                started.TrySetResult();
                release.Task.Wait();
            },
        });
        await started.Task;
        try
        {
            var other = new StoryOptions { Request = new() { Steps = 3 } };
            Assert.Contains("made with Steps 2", await Refused(() => model.GenerateScenesAsync(bank, Further, other)));
            Assert.Contains("no bank", await Refused(() => model.RedrawSceneAsync(story, 1)));
            Assert.Contains("has 1 scenes", await Refused(() => model.RefineStoryAsync(story, Bear with { Scenes = Further[..1] })));
            Assert.Contains("no scenes", await Refused(() => model.CreateBankAsync(Bear with { Scenes = [] })));
        }
        finally
        {
            release.SetResult();
            (await busy).Dispose();
        }

        static async Task<string> Refused(Func<Task> run) => (await Assert.ThrowsAsync<ArgumentException>(run)).Message;
    }
}
