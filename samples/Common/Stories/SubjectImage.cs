using StorySync.Documents;
using StorySync.Pipelines;

namespace StorySync.Samples;

/// <summary>An image of the user's that shows the story's subject.</summary>
internal static class SubjectImage
{
    private const string Option = "--subject-image";

    /// <summary>Reads an image as an anchor. Where it is transparent, the subject is not.</summary>
    /// <param name="path">The file.</param>
    /// <param name="story">The story, whose first subject, or else first character, the image shows.</param>
    /// <param name="seed">The seed of its noise.</param>
    /// <exception cref="UserErrorException">The file is missing or no image, or it shows nothing.</exception>
    public static Scene Load(string path, Story story, long seed)
    {
        var (image, mask) = ImageFile.Read(path, file => (RgbImage.Load(file), RgbImage.LoadAlpha(file)), $"{Option}: ");
        if (mask is not null && !mask.Pixels.ContainsAnyInRange((byte)128, byte.MaxValue))
        {
            throw new UserErrorException(
                $"{Option} '{path}' is transparent everywhere; what is not shows where the subject is. Give an image without "
                    + "transparency for the subject to be found.");
        }

        var shown = story.Subjects is [var first, ..] ? first : story.Cast[0].Subject();
        return new Scene(story.Subjects.Count > 0 ? shown.Phrase : story.Cast[0].Name)
        {
            Image = image,
            Seed = seed,
            Subjects =
            [
                .. mask is null ? [] : new[] { shown.At(mask) },
                .. story.Subjects.Skip(1).Select(other => other.Absent()),
            ],
        };
    }
}
