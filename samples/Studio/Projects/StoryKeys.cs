using System.Security.Cryptography;
using System.Text.Json;
using StorySync.Documents;
using StorySync.Pipelines;

namespace StorySync.Samples.Studio.Projects;

/// <summary>What identifies a scene's image: hashes of all that it depends on. A scene is up to date where there is a take with its
/// key.</summary>
/// <param name="Key">The whole.</param>
/// <param name="Family">The whole without the scene's seed.</param>
/// <param name="Plain">What the plain model's image of the scene depends on.</param>
public sealed record SceneKey(string Key, string Family, string Plain);

/// <summary>The keys of a story.</summary>
public sealed class StoryKeys
{
    private StoryKeys(int anchors, string bank, IReadOnlyList<SceneKey> scenes) => (Anchors, Bank, Scenes) = (anchors, bank, scenes);

    /// <summary>Gets how many of the first scenes the others are drawn from: none where there is an image of the user's.</summary>
    public int Anchors { get; }

    /// <summary>Gets the key of the bank.</summary>
    public string Bank { get; }

    public IReadOnlyList<SceneKey> Scenes { get; }

    /// <exception cref="DocumentException">The story cannot be drawn.</exception>
    public static StoryKeys Of(StudioStory story, string model)
    {
        ArgumentNullException.ThrowIfNull(story);
        var file = story.ToFile();
        var scenes = story.ToStory().Scenes;
        var common = new
        {
            model,
            options = file.ToOptions(),
            file.Subjects,
            cast = file.Cast.Select(one => one.Character),
        };
        var anchors = AnchorsOf(story);
        string BankWith(int unseeded) => Hash(
            "bank", common, story.Own, scenes.Take(anchors).Select((scene, i) => i == unseeded ? Unseeded(scene) : scene));
        var bank = BankWith(-1);
        return new(anchors, bank, [.. scenes.Select((scene, i) =>
        {
            var family = i < anchors ? Hash("anchor", BankWith(i), i) : Hash("scene", bank, Unseeded(scene));
            return new SceneKey(
                i < anchors ? Hash("anchor", bank, i) : Seeded(family, scene.Seed), family, Hash("plain", common, scene));
        })]);
    }

    /// <summary>Returns the keys of another take of a scene that is no anchor.</summary>
    public WantedScene Wanted(int scene, long seed) => new(Seeded(Scenes[scene].Family, seed), Scenes[scene].Family);

    public static int AnchorsOf(StudioStory story)
    {
        ArgumentNullException.ThrowIfNull(story);
        return story.Own is null ? Math.Min(2, story.Scenes.Count) : 0;
    }

    private static string Seeded(string family, long? seed) => Hash("take", family, seed);

    private static Scene Unseeded(Scene scene) => scene with { Seed = null };

    private static string Hash(params object?[] parts) =>
        Convert.ToHexStringLower(SHA256.HashData(JsonSerializer.SerializeToUtf8Bytes(parts)))[..32];
}
