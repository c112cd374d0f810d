using StorySync.Documents;
using StorySync.Samples.Studio.Projects;
using StorySync.TestSupport;

namespace StorySync.Studio.Tests;

/// <summary>What a project remembers, and what has to be drawn again.</summary>
public class ProjectTests
{
    private static readonly StudioStory Bears = StudioStory.Of(StoryFile.Parse("""
        subjects: a bear
        steps: 2
        seed: 7
        scenes:
          - a bear waving
          - a bear jumping
          - a bear in the snow
          - a bear in the city
        """));

    [Fact]
    public void A_scene_depends_on_itself_and_the_anchors_and_on_nothing_else()
    {
        var before = KeysOf(Bears);
        Assert.Equal([7, 8, 9, 10], Bears.Scenes.Select(scene => scene.Seed));
        Assert.Equal([true, true, false, true], Same(Prompt(Bears, 2, "a bear at the beach")));
        Assert.Equal([false, false, false, false], Same(Prompt(Bears, 1, "a bear sitting")));
        Assert.Equal([false, false, false, false], Same(Bears with { Head = Bears.Head with { Steps = 3 } }));
        Assert.Equal([false, false, false, false], Same(Bears with { Own = new OwnImage("0", "a bear") }));
        Assert.Equal([true, true, true, true], Same(Bears.With(2, scene => scene with
        {
            Written = scene.Written with { Caption = "Brr." }, IsLocked = true,
        })));
        var moved = KeysOf(Bears.Move(3, -1));
        Assert.Equal([before.Scenes[3], before.Scenes[2]], moved.Scenes.Skip(2));

        bool[] Same(StudioStory other) => [.. KeysOf(other).Scenes.Zip(before.Scenes, (now, then) => now.Key == then.Key)];
    }

    [Fact]
    public void Takes_of_a_scene_are_of_one_family()
    {
        var before = KeysOf(Bears);
        foreach (var scene in (int[])[1, 3])
        {
            var other = KeysOf(Bears.With(scene, one => one with { Written = one.Written with { Seed = 99 } }));
            Assert.NotEqual(before.Scenes[scene].Key, other.Scenes[scene].Key);
            Assert.Equal(before.Scenes[scene].Family, other.Scenes[scene].Family);
        }

        Assert.Equal(before.Scenes[3].Key, before.Wanted(3, 10).Key);
    }

    [Fact]
    public void Only_what_is_stale_is_ordered()
    {
        var keys = KeysOf(Bears);
        var all = keys.Scenes.Select(scene => scene.Key).ToHashSet();
        Assert.Null(Order.OfStale(Bears, keys, all.Contains, hasBank: true, null));

        all.Remove(keys.Scenes[2].Key);
        var one = Order.OfStale(Bears, keys, all.Contains, hasBank: true, null)!;
        Assert.Equal([null, null, keys.Scenes[2].Key], one.Wanted.Select(wanted => wanted?.Key));
        Assert.Equal(keys.Bank, one.FromBank);
        Assert.Equal(["a bear in the snow"], one.Document.Story.Scenes.Select(scene => scene.Prompt));
        Assert.Null(Order.OfStale(Bears.With(2, scene => scene with { IsLocked = true }), keys, all.Contains, hasBank: true, null));

        var without = Order.OfStale(Bears, keys, all.Contains, hasBank: false, null)!;
        Assert.Equal((null, keys.Bank, 2), (without.FromBank, without.IntoBank, without.Document.Options!.Anchors!.Value));
        Assert.Equal(
            ["a bear waving", "a bear jumping", "a bear in the snow"], without.Document.Story.Scenes.Select(scene => scene.Prompt));

        all.Clear();
        Assert.Equal(4, Order.OfStale(Bears, keys, all.Contains, hasBank: true, null)!.Document.Story.Scenes.Count);
        Assert.Equal(3, Order.OfStale(Bears, keys, all.Contains, hasBank: true, null, only: 3)!.Document.Story.Scenes.Count);
    }

    [Fact]
    public void A_folder_brings_back_what_was_saved()
    {
        using var temporary = new TemporaryFolder();
        var folder = new ProjectFolder(temporary.Path);
        var hash = folder.Put([1, 2, 3]);
        var story = Bears.With(1, scene => scene with { Shown = hash, IsLocked = true }) with { Own = new OwnImage(hash, "a bear") };
        var take = new Take("k", "f", hash, 8, 0.5, "a bear jumping");
        folder.Save(new(story, [take, take with { Key = "l", Hash = new string('0', 64) }], [new("id", "b", [null, new("k", "f")])]));

        var read = new ProjectFolder(temporary.Path).Load();
        Assert.Equal(KeysOf(story).Scenes, KeysOf(read.Story).Scenes);
        Assert.Equal((hash, true, story.Own), (read.Story.Scenes[1].Shown, read.Story.Scenes[1].IsLocked, read.Story.Own));
        Assert.Equal([take], read.Takes);
        Assert.Equal(("id", "b", "k"), (read.Jobs[0].Id, read.Jobs[0].Bank, read.Jobs[0].Wanted[1]!.Key));
        Assert.Equal(Bears.Scenes.Select(scene => scene.Written.Prompt),
            StoryFile.Load(Path.Combine(temporary.Path, "story.yaml")).Scenes.Select(scene => scene.Prompt));
    }

    [Fact]
    public void A_damaged_folder_is_told_with_what_to_do()
    {
        using var temporary = new TemporaryFolder();
        new ProjectFolder(temporary.Path).Save(new(Bears, [], []));
        temporary.Write("project.json", "{");
        var fault = Assert.Throws<DocumentException>(new ProjectFolder(temporary.Path).Load);
        Assert.Contains("delete it", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_undone_can_be_done_again_until_something_else_is_done()
    {
        var history = new History<int>(1).Push(2).Push(3);
        Assert.Equal((2, true, true), (history.Undo().Now, history.Undo().CanUndo, history.Undo().CanRedo));
        Assert.Equal(3, history.Undo().Undo().Redo().Redo().Now);
        Assert.Equal(1, history.Undo().Undo().Undo().Now);
        Assert.False(history.Undo().Push(4).CanRedo);
        Assert.Equal(799, Enumerable.Range(0, 1000).Aggregate(new History<int>(-1), (all, i) => all.Push(i)).Undos().Last());
    }

    [Fact]
    public void Text_that_is_used_keeps_the_images_of_scenes_that_are_the_same()
    {
        var shown = Bears.With(2, scene => scene with { Shown = "hash" });
        var file = shown.ToFile();
        var read = shown.Rewritten(StoryFile.Parse((file with { Scenes = [file.Scenes[2], file.Scenes[0]] }).ToYaml()));
        Assert.Equal(["hash", null], read.Scenes.Select(scene => scene.Shown));
    }

    private static StoryKeys KeysOf(StudioStory story) => StoryKeys.Of(story, "storybook");

    private static StudioStory Prompt(StudioStory story, int scene, string prompt) =>
        story.With(scene, one => one with { Written = one.Written with { Prompt = prompt } });
}

internal static class Histories
{
    /// <summary>All values that can be gone back to, the latest first.</summary>
    public static IEnumerable<T> Undos<T>(this History<T> history)
    {
        while (history.CanUndo)
        {
            history = history.Undo();
            yield return history.Now;
        }
    }
}
