using StorySync.TestSupport;
using TorchSharp;

namespace StorySync.Pipelines.Tests;

/// <summary>A bank that one process writes and others read.</summary>
public sealed class BankProcessTests
{
    private const string Folder = "STORYSYNC_TEST_FOLDER";

    private static readonly Story Anchors = new()
    {
        Subjects = ["a bear"],
        Scenes = [new("a bear standing in the forest"), new("a bear waving at the beach")],
    };

    private static readonly Scene[] Further =
    [
        new("a bear reading in the library") { Seed = 11 },
        new("a bear running through the snow") { Seed = 3 },
        new("a bear") { Seed = 7 },
    ];

    /// <summary>Three processes: one writes the banks, one draws with them, this one does both.</summary>
    [Fact]
    public void A_bank_of_another_process_gives_the_same_bytes()
    {
        ReferenceData.RequireRoot();
        using var folder = new TemporaryFolder();
        Run(nameof(Write), folder);
        Run(nameof(Draw), folder);
        foreach (var model in StoryBankTests.Models().Select(row => row.Data))
        {
            using var pipeline = LoadedModels.Load(model);
            using var bank = pipeline.CreateBank(Anchors, Options);
            bank.Save(folder.PathOf("own"));
            Assert.Equal(File.ReadAllBytes(folder.PathOf("own")), File.ReadAllBytes(folder.PathOf($"{model}.storybank")));
            using var drawn = pipeline.GenerateScenes(bank, Further);
            Assert.Equal(drawn.Latents.bytes.ToArray(), File.ReadAllBytes(folder.PathOf($"{model}.latents")));
            Assert.Equal(drawn.Scenes[0].Image.EncodePng(), File.ReadAllBytes(folder.PathOf($"{model}.png")));
        }

        static void Run(string test, TemporaryFolder folder) => Assert.True(
            OwnProcess.Run(
                $"{typeof(BankProcessTests).FullName}.{test}", new Dictionary<string, string> { [Folder] = folder.Path }, out var output),
            output);
    }

    [Fact(Explicit = true)]
    public void Write()
    {
        foreach (var model in StoryBankTests.Models().Select(row => row.Data))
        {
            using var pipeline = LoadedModels.Load(model);
            using var bank = pipeline.CreateBank(Anchors, Options);
            bank.Save(PathOf($"{model}.storybank"));
        }
    }

    [Fact(Explicit = true)]
    public void Draw()
    {
        foreach (var model in StoryBankTests.Models().Select(row => row.Data))
        {
            using var pipeline = LoadedModels.Load(model);
            using var bank = StoryBank.Load(PathOf($"{model}.storybank"));

            // In other batches than there.
            using var drawn = pipeline.GenerateScenes(bank, Further, new() { BatchSize = 2 });
            File.WriteAllBytes(PathOf($"{model}.latents"), drawn.Latents.bytes.ToArray());
            drawn.Scenes[0].Image.SavePng(PathOf($"{model}.png"));
        }
    }

    private static StoryOptions Options => new()
    {
        Request = new() { Steps = 2, GuidanceScale = 4, Seed = 5, Height = 64, Width = 64 },
    };

    private static string PathOf(string name) => Path.Combine(
        Environment.GetEnvironmentVariable(Folder) ?? throw new InvalidOperationException($"{Folder} is not set."), name);
}
