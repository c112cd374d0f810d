using System.Globalization;
using System.Text.RegularExpressions;
using StorySync.Pipelines;

namespace StorySync.Samples;

/// <summary>The images of an earlier run, of which one is to be drawn again.</summary>
internal sealed partial class KeptScenes
{
    private readonly RgbImage?[] images;

    private KeptScenes(RgbImage?[] images, long largestSeed) => (this.images, LargestSeed) = (images, largestSeed);

    /// <summary>The largest seed of the images.</summary>
    public long LargestSeed { get; }

    /// <summary>Reads the images of a story from its folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="scenes">The number of scenes.</param>
    /// <param name="redrawn">The scene whose image may be missing.</param>
    /// <exception cref="UserErrorException">An image is missing, or this program did not write it.</exception>
    public static KeptScenes Load(OutputFolder folder, int scenes, int redrawn)
    {
        var images = new RgbImage?[scenes];
        var largest = long.MinValue;
        for (var i = 0; i < scenes; i++)
        {
            var path = Path.Combine(folder.Path, $"scene-{i + 1}.png");
            if (!File.Exists(path))
            {
                if (i == redrawn)
                {
                    continue;
                }

                throw new UserErrorException(
                    $"--redraw {redrawn + 1} draws one scene of a story whose other images are there, but there is no '{path}'; run the "
                        + "same command without --redraw first.");
            }

            try
            {
                images[i] = RgbImage.Load(path);
                var parameters = images[i]!.Provenance?.Parameters ?? "";
                largest = Math.Max(largest, long.Parse(Seed().Match(parameters).Groups[1].ValueSpan, CultureInfo.InvariantCulture));
            }
            catch (Exception exception) when (exception is InvalidDataException or FormatException or OverflowException)
            {
                throw new UserErrorException(
                    $"'{path}' is not an image of this program's; run the same command without --redraw first.", exception);
            }
        }

        return new KeptScenes(images, largest);
    }

    /// <summary>The images with another one in a place.</summary>
    public IReadOnlyList<RgbImage> With(int scene, RgbImage image) => [.. images.Select((kept, i) => i == scene ? image : kept!)];

    [GeneratedRegex(@", Seed: (-?\d+), Size: ", RegexOptions.RightToLeft)]
    private static partial Regex Seed();
}
