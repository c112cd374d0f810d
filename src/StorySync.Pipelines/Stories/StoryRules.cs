using StorySync.Attention;

namespace StorySync.Pipelines;

/// <summary>What holds for every story, whatever the model.</summary>
internal static class StoryRules
{
    /// <exception cref="ArgumentException">The story has no scenes.</exception>
    public static void RequireScenes(Story story) =>
        RequestRules.Require(story.Scenes is { Count: > 0 }, "The story has no scenes; give at least one.");

    /// <param name="story">The story, without a cast.</param>
    /// <param name="origin">Where it comes from.</param>
    /// <param name="anchors">How many of the first scenes are anchors.</param>
    /// <exception cref="ArgumentException">The story breaks a rule; the message names it.</exception>
    public static void Check(Story story, StoryBatchOrigin origin, int anchors)
    {
        RequireScenes(story);
        RequestRules.Require(
            story.Subjects is { Count: > 0 },
            "The story has no subjects; give the phrase of at least one, such as \"a red fox\", or a cast.");
        foreach (var subject in story.Subjects)
        {
            RequestRules.Require(!string.IsNullOrWhiteSpace(subject?.Phrase), "A subject of the story has an empty phrase.");
        }

        var twice = story.Subjects.GroupBy(subject => WithoutArticle(subject.Phrase), StringComparer.OrdinalIgnoreCase)
            .FirstOrDefault(same => same.Count() > 1);
        RequestRules.Require(twice is null, $"The story has the subject \"{twice?.First()}\" twice; give each subject once.");
        for (var i = 0; i < story.Scenes.Count; i++)
        {
            CheckScene(story, i, origin.NameOf(i));
            RequestRules.Require(
                i < anchors || story.Scenes[i].Image is null,
                $"{origin.NameOf(i)} has an Image, which only an anchor can be, because images are read and do not read: put it among "
                    + "the scenes of CreateBank, or among the first StoryOptions.Anchors scenes of a story.");
        }

        foreach (var subject in origin.IsAnchored ? [] : story.Subjects)
        {
            RequestRules.Require(
                Enumerable.Range(0, story.Scenes.Count).Any(i => InScene(story, i, subject).IsPresent),
                $"The subject \"{subject}\" is absent from every scene; leave it out.");
        }
    }

    /// <summary>See <see cref="Story.ExpandCast"/>.</summary>
    public static Story ExpandCast(Story story, StoryBatchOrigin origin)
    {
        if (story is { Cast.Count: 0 } or { Scenes: null })
        {
            return story;
        }

        var cast = new CastExpansion(story.Cast);
        cast.Check();
        var scenes = story.Scenes.Select((scene, i) => scene?.Prompt is null ? scene! : ExpandCast(story, cast, scene, origin.NameOf(i)))
            .ToList();
        foreach (var character in story.Cast)
        {
            var subject = character.Subject();
            RequestRules.Require(
                origin.IsAnchored || scenes.Any(scene => scene?.Subjects?.Any(own => own?.Subject == subject && !own.IsPresent) != true),
                $"The character \"{character.Name}\" is absent from every scene; leave it out.");
        }

        return story with { Scenes = scenes, Cast = [], Subjects = [.. story.Subjects ?? [], .. story.Cast.Select(c => c.Subject())] };
    }

    private static Scene ExpandCast(Story story, CastExpansion cast, Scene scene, string name)
    {
        var mentioned = cast.MentionedIn(scene.Prompt);
        foreach (var (who, state) in scene.States)
        {
            var character = story.Cast.FirstOrDefault(c => c.Name == who);
            RequestRules.Require(character is not null, $"{name} has a state for \"{who}\", which is not a name of the story's cast: "
                + $"{string.Join(", ", story.Cast.Select(c => $"\"{c.Name}\""))}.");
            RequestRules.Require(!string.IsNullOrWhiteSpace(state), $"{name} has an empty state for \"{who}\".");
            RequestRules.Require(
                mentioned.Contains(character!), $"{name} has a state for \"{who}\", whom its prompt does not mention.");
        }

        var subjects = new List<SceneSubject>(scene.Subjects ?? []);
        foreach (var character in story.Cast)
        {
            var subject = character.Subject();
            var own = subjects.Find(own => own?.Subject == subject);
            RequestRules.Require(
                own is not { IsPresent: false } || !mentioned.Contains(character),
                $"{name} mentions \"{character.Name}\", whom it says it lacks; leave the name out of the prompt, or the absence.");
            if (own is null && !mentioned.Contains(character))
            {
                subjects.Add(subject.Absent());
            }
        }

        try
        {
            return scene with
            {
                Prompt = cast.Expand(scene.Prompt, scene.States, character => subjects.Exists(own =>
                    own?.Subject == character.Subject() && own is not { Region: null, RegionMask: null })),
                Subjects = subjects,
                States = new Dictionary<string, string>(),
            };
        }
        catch (ArgumentException exception)
        {
            throw new ArgumentException($"{name}: {exception.Message}", exception);
        }
    }

    /// <exception cref="ArgumentException">The settings hold what is the story's to say.</exception>
    public static void CheckTemplate(GenerationRequest template)
    {
        RequestRules.Require(template.Prompts is not { Count: > 0 },
            "StoryOptions.Request has Prompts; a story's prompts are its scenes'.");
        RequestRules.Require(template.Seeds is null, "StoryOptions.Request has Seeds; give a scene its own by Scene.Seed.");
        RequestRules.Require(
            template.ImagesPerPrompt == 1, $"StoryOptions.Request has ImagesPerPrompt {template.ImagesPerPrompt}; a scene has one image.");
        RequestRules.Require(!template.LatentsOnly, "StoryOptions.Request has LatentsOnly; a story has images.");
    }

    /// <exception cref="ArgumentException">A mask or region has other proportions than the images, or no white.</exception>
    public static void CheckMasks(Story story, int first, int width, int height, Func<int, string> nameOf)
    {
        for (var i = first; i < story.Scenes.Count; i++)
        {
            var size = story.Scenes[i].Image is { } image ? (image.Width, image.Height) : (width, height);
            foreach (var own in story.Scenes[i].Subjects)
            {
                Check(own, own.Mask, "mask", size, nameOf(i));
                Check(own, own.RegionMask, "region", size, nameOf(i));
            }
        }

        static void Check(SceneSubject own, RgbImage? mask, string what, (int Width, int Height) image, string name)
        {
            if (mask is null)
            {
                return;
            }

            // A mask of a model's grid may have a last cell that its image does not fill.
            var excess = ((long)mask.Width * image.Height) - ((long)mask.Height * image.Width);
            RequestRules.Require(
                excess > -image.Width && excess < image.Height,
                $"{name}: a {what} is {mask.Width}×{mask.Height}, the image {image.Width}×{image.Height}; a {what} can have any resolution "
                    + "but must have the image's proportions.");
            RequestRules.Require(
                mask.HasWhite(),
                $"{name}: the {what} of \"{own.Subject}\" has no white, so the subject would be nowhere; paint it white where the subject "
                    + "is (a luma of one half or more), or say by Absent() that the scene lacks it.");
        }
    }

    /// <summary>Refuses techniques whose patterns choose no layer, and adds warnings for patterns that match none.</summary>
    /// <exception cref="ArgumentException">A technique that is on has no layer.</exception>
    public static void CheckLayers(StoryAttentionOptions techniques, IEnumerable<AttentionLayer> layers, WarningList warnings)
    {
        foreach (var (option, pattern, isAll) in techniques.FindUnmatchedLayers(layers))
        {
            RequestRules.Require(!isAll, $"{option} is \"{pattern}\", which is none of the model's layers.");
            warnings.Add(GenerationWarningCode.LayerPatternWithoutMatch, $"{option}: \"{pattern}\" matches none of the model's layers.");
        }
    }

    /// <summary>Returns how a scene has a subject.</summary>
    public static SceneSubject InScene(Story story, int scene, Subject subject) =>
        story.Scenes[scene].Subjects.FirstOrDefault(own => own.Subject == subject) ?? new SceneSubject(subject);

    /// <summary>Returns a value indicating whether any scene says where it is.</summary>
    public static bool HasLocations(Story story) => story.Scenes.Any(scene => scene.Location is not null);

    /// <summary>Returns the scenes and subjects, by their indices, whose masks are found and not given.</summary>
    /// <param name="story">The story.</param>
    /// <param name="scenes">How many of its first scenes to look at.</param>
    /// <param name="ofImages">Whether they are those found once, in images, or those found step by step, in what is drawn.</param>
    public static IEnumerable<(int Scene, int Subject)> FoundSubjects(Story story, int scenes, bool ofImages = false) =>
        from scene in Enumerable.Range(0, scenes)
        where story.Scenes[scene].Image is not null == ofImages
        from subject in Enumerable.Range(0, story.Subjects.Count)
        where InScene(story, scene, story.Subjects[subject]) is { IsPresent: true, Mask: null }
        select (scene, subject);

    /// <summary>Returns a phrase without the article that leads it: attention to an article is all over the image and blurs the
    /// mask.</summary>
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

    private static void CheckScene(Story story, int index, string name)
    {
        var scene = story.Scenes[index];
        RequestRules.Require(scene is not null, $"{name} is null.");
        RequestRules.Require(scene!.Prompt is not null, $"{name} has no prompt.");
        RequestRules.Require(
            scene.Location is null || !string.IsNullOrWhiteSpace(scene.Location),
            $"{name} has an empty Location; name the place, or leave it null.");
        RequestRules.Require(scene.Subjects?.All(own => own?.Subject is not null) == true, $"{name}: Subjects is null or holds a null.");
        foreach (var own in scene.Subjects!)
        {
            RequestRules.Require(
                story.Subjects.Contains(own.Subject),
                $"{name} has the subject \"{own.Subject}\", which is none of the story's: "
                    + $"{string.Join(", ", story.Subjects.Select(s => $"\"{s}\""))}.");
            RequestRules.Require(
                scene.Subjects.Count(other => other.Subject == own.Subject) == 1, $"{name} has the subject \"{own.Subject}\" twice.");
            RequestRules.Require(
                own.Phrase is null || !string.IsNullOrWhiteSpace(own.Phrase),
                    $"{name}: the subject \"{own.Subject}\" has an empty phrase.");
            RequestRules.Require(
                own.IsPresent || own is { Phrase: null, Mask: null, Region: null, RegionMask: null },
                $"{name} lacks the subject \"{own.Subject}\", so that it can have neither phrase nor mask nor region for it.");
            RequestRules.Require(
                scene.Image is null || own is { Region: null, RegionMask: null },
                $"{name} has an Image, in which nothing can be placed; say by At(mask) where \"{own.Subject}\" is, or leave it to be "
                    + "found.");
            RequestRules.Require(
                own is not { Region: not null, RegionMask: not null },
                $"{name}: the subject \"{own.Subject}\" has a Region and a RegionMask; give one of them.");
        }
    }
}
