namespace StorySync.Pipelines;

/// <summary>What holds for every story, whatever the model.</summary>
internal static class StoryRules
{
    /// <exception cref="ArgumentException">The story breaks a rule; the message names it.</exception>
    public static void Check(Story story)
    {
        RequestRules.Require(story.Scenes is { Count: > 0 }, "The story has no scenes; give at least one.");
        RequestRules.Require(story.Subjects is { Count: > 0 }, "The story has no subjects; give the phrase of at least one, such as \"a red fox\".");
        for (var i = 0; i < story.Scenes.Count; i++)
        {
            var scene = story.Scenes[i];
            CheckCount(i, scene.Subjects?.Count, story.Subjects.Count, "Subjects");
            CheckCount(i, scene.Masks?.Count, story.Subjects.Count, "Masks");
            for (var s = 0; s < story.Subjects.Count; s++)
            {
                RequestRules.Require(
                    PhraseOf(story, i, s) is null || !string.IsNullOrWhiteSpace(PhraseOf(story, i, s)),
                    $"Scene {i + 1}: subject {s + 1} has an empty phrase; null says that the scene lacks it.");
            }
        }
    }

    /// <exception cref="ArgumentException">A mask has other proportions than the images, or no white.</exception>
    public static void CheckMasks(Story story, int width, int height)
    {
        for (var i = 0; i < story.Scenes.Count; i++)
        {
            foreach (var (s, mask) in (story.Scenes[i].Masks ?? []).Index())
            {
                RequestRules.Require(
                    mask is null || (long)mask.Width * height == (long)mask.Height * width,
                    $"Scene {i + 1}: a mask is {mask?.Width}×{mask?.Height}, the picture {width}×{height}; a mask can have any resolution but must have the picture's proportions.");
                RequestRules.Require(
                    mask is null || mask.HasWhite(),
                    $"Scene {i + 1}: the mask of subject {s + 1} has no white, so the subject would be nowhere; paint it white where the subject is "
                    + "(a luma of one half or more), or give null if the scene lacks the subject.");
            }
        }
    }

    /// <summary>The words that stand for a subject in a scene's prompt; null where the scene lacks it.</summary>
    public static string? PhraseOf(Story story, int scene, int subject) =>
        story.Scenes[scene].Subjects is { } own ? own[subject] : story.Subjects[subject];

    /// <summary>A phrase without the article that leads it: attention to an article lies all over the picture and blurs the mask.</summary>
    public static string WithoutArticle(string phrase)
    {
        var words = phrase.Trim();
        foreach (var article in (string[])["a ", "an ", "the "])
        {
            if (words.StartsWith(article, StringComparison.OrdinalIgnoreCase) && words.Length > article.Length)
            {
                return words[article.Length..].TrimStart();
            }
        }

        return words;
    }

    /// <summary>Whether a scene has a subject, by words or by a mask.</summary>
    public static bool Has(Story story, int scene, int subject) =>
        PhraseOf(story, scene, subject) is not null || story.Scenes[scene].Masks?[subject] is not null;

    private static void CheckCount(int scene, int? count, int subjects, string name) => RequestRules.Require(
        count is null || count == subjects,
        $"Scene {scene + 1}: {name} has {count} entries; the story has {subjects} subjects, and each needs one (null for none).");
}
