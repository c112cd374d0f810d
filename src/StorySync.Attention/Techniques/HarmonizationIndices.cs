using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Represents the indices by which harmonization gathers a subject's tokens, padded to the same number in every image.</summary>
internal sealed class HarmonizationIndices : IDisposable
{
    private HarmonizationIndices(int images, int tokens, Tensor places, Tensor offsets, Tensor selves)
    {
        (Images, Tokens) = (images, tokens);
        (Places, Offsets, Selves) = (Keep(places), Keep(offsets), Keep(selves));

        static Tensor Keep(Tensor tensor) => tensor.DetachFromDisposeScope();
    }

    /// <summary>Gets the number of images that have the subject.</summary>
    public int Images { get; }

    /// <summary>Gets the number of tokens of each; those that have fewer repeat their first.</summary>
    public int Tokens { get; }

    /// <summary>Gets where the tokens are among all tokens of all rows, (repeats, images, tokens).</summary>
    public Tensor Places { get; }

    /// <summary>Gets where each image's tokens begin among those that are gathered, (repeats, 1, 1, images).</summary>
    public Tensor Offsets { get; }

    /// <summary>Gets where each token itself is among those that are gathered, (repeats, tokens, images).</summary>
    public Tensor Selves { get; }

    /// <summary>Creates the indices of one subject.</summary>
    /// <param name="subjects">Where the subjects' tokens are.</param>
    /// <param name="subject">The subject; at least two images have it.</param>
    /// <param name="rows">Where the images are among the rows.</param>
    /// <param name="device">The device.</param>
    public static HarmonizationIndices Of(SubjectTokens subjects, int subject, ImageRows rows, Device device)
    {
        using var scope = NewDisposeScope();
        int[] images = [.. Enumerable.Range(0, subjects.Images).Where(image => subjects.Of(image, subject).Length > 0)];
        var (repeats, count, most) = ((int)rows.Repeats, images.Length, images.Max(image => subjects.Of(image, subject).Length));
        var places = repeats * count * most;
        var numbers = new long[places + (repeats * count) + places];
        var at = 0;
        for (var repeat = 0; repeat < repeats; repeat++)
        {
            foreach (var image in images)
            {
                var tokens = subjects.Of(image, subject);
                for (var token = 0; token < most; token++)
                {
                    numbers[at++] = (rows.Of(repeat, image) * subjects.Length) + tokens[token < tokens.Length ? token : 0];
                }
            }
        }

        for (var region = 0; region < repeats * count; region++)
        {
            numbers[at++] = (long)region * most;
        }

        for (var repeat = 0; repeat < repeats; repeat++)
        {
            for (var token = 0; token < most; token++)
            {
                for (var image = 0; image < count; image++)
                {
                    numbers[at++] = (((long)(repeat * count) + image) * most) + token;
                }
            }
        }

        var sent = DeviceTransfer.Send(tensor(numbers), device);
        return new(
            count,
            most,
            sent.narrow(0, 0, places).view(repeats, count, most),
            sent.narrow(0, places, repeats * count).view(repeats, 1, 1, count),
            sent.narrow(0, places + (repeats * count), places).view(repeats, most, count));
    }

    public void Dispose()
    {
        Places.Dispose();
        Offsets.Dispose();
        Selves.Dispose();
    }
}

/// <summary>Represents where a subject's tokens are in all images, for the kernel that compares them where they lie.</summary>
/// <param name="Places">As indices into (images · length), image by image.</param>
/// <param name="Counts">How many are in each image that has the subject.</param>
internal sealed record SubjectPlaces(Tensor Places, int[] Counts) : IDisposable
{
    public static SubjectPlaces Of(SubjectTokens subjects, int subject, Device device)
    {
        using var scope = NewDisposeScope();
        var images = Enumerable.Range(0, subjects.Images).ToList();
        long[] places =
            [.. images.SelectMany(image => subjects.Of(image, subject).Select(token => ((long)image * subjects.Length) + token))];
        return new(
            DeviceTransfer.Send(tensor(places), device).DetachFromDisposeScope(),
            [.. images.Select(image => subjects.Of(image, subject).Length).Where(count => count > 0)]);
    }

    public void Dispose() => Places.Dispose();
}
