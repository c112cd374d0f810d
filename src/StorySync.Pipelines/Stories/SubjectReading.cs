using System.Collections.Immutable;
using StorySync.Attention;
using StorySync.Diffusion.Tokenizers;
using TorchSharp;

namespace StorySync.Pipelines;

/// <summary>Reads a story's subjects out of its scenes: which tokens of a prompt mention a subject, where it is, and where it is to
/// be.</summary>
/// <param name="story">The batch's story, anchors first, without a cast.</param>
/// <param name="origin">Where the batch comes from.</param>
/// <param name="tokenize">A prompt as the tokens that the denoiser's attention reads.</param>
/// <param name="words">A phrase without the marks that prompts may have.</param>
internal sealed class SubjectReading(
    Story story, StoryBatchOrigin origin, Func<string, TokenEncoding> tokenize, Func<string, string> words)
{
    private ImmutableArray<int>[][] Tokens => field ??= [.. story.Subjects.Select(subject =>
        ScenesOf(subject).Select(TokensOf).ToArray())];

    /// <summary>Finds the subjects in the prompts. They are read once, when this or <see cref="Subjects"/> is first called: a story that
    /// cannot fit is refused before.</summary>
    /// <exception cref="ArgumentException">A prompt does not mention a subject that its scene has.</exception>
    public void ReadPrompts() => _ = Tokens;

    /// <summary>Gets the subjects as attention takes them. The masks are the caller's to dispose, by its scope.</summary>
    /// <param name="width">Pixels.</param>
    /// <param name="height">Pixels.</param>
    /// <exception cref="ArgumentException">A prompt does not mention a subject that its scene has.</exception>
    public IReadOnlyList<StorySubject> Subjects(int width, int height) => [.. story.Subjects.Select((subject, s) =>
    {
        var scenes = ScenesOf(subject).ToList();
        return new StorySubject(subject.Phrase, [.. Tokens[s]])
        {
            Masks = scenes.Any(own => own.Mask is not null)
                ? [.. scenes.Select(own => own.Mask is { } mask ? mask.WithoutAlpha().ToMask() : null)]
                : null,
            Regions = scenes.Any(own => own is not { Region: null, RegionMask: null })
                ? [.. scenes.Select(own => RegionOf(own, width, height))]
                : null,
        };
    })];

    /// <summary>Where a subject is to be, bool, (height, width) of the image, so that all regions of a batch have one shape.</summary>
    private static torch.Tensor? RegionOf(SceneSubject own, int width, int height) =>
        own.Region?.ToMask(width, height) ?? own.RegionMask?.WithoutAlpha().Resize(width, height).ToMask();

    private IEnumerable<SceneSubject> ScenesOf(Subject subject) =>
        Enumerable.Range(0, story.Scenes.Count).Select(i => StoryRules.InScene(story, i, subject));

    private ImmutableArray<int> TokensOf(SceneSubject own, int scene)
    {
        if (!own.IsPresent)
        {
            return [];
        }

        try
        {
            return tokenize(story.Scenes[scene].Prompt).PositionsOf(StoryRules.WithoutArticle(words(own.Phrase ?? own.Subject.Phrase)));
        }
        catch (ArgumentException) when (own is { Mask: not null, Phrase: null, Region: null, RegionMask: null })
        {
            // The mask says where the subject is; the prompt need not mention it.
            return [];
        }
        catch (ArgumentException exception)
        {
            // The framework puts the parameter's name after the first line of a message.
            var said = exception.Message.Replace($" (Parameter '{exception.ParamName}')", "", StringComparison.Ordinal);
            throw new ArgumentException(
                $"{origin.NameOf(scene)}: {said} If the scene has other words for the subject, or lacks it, say so in Scene.Subjects.",
                exception);
        }
    }
}
