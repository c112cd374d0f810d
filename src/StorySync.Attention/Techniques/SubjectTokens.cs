using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention;

/// <summary>Which tokens of a layer's sequence belong to which subject, image by image, as the indices that sharing and harmonization
/// gather by. Made once per grid whenever the masks change: only here is the host told how many tokens a mask has.</summary>
/// <remarks>Holds tensors: dispose it.</remarks>
public sealed class SubjectTokens : IDisposable
{
    private readonly Tensor[][] tokens;
    private readonly Tensor[][] foreign;
    private readonly Tensor[] background;

    private SubjectTokens(Tensor labels, int subjects, Func<int, int, bool>? present, int textTokens, Device device)
    {
        Images = (int)labels.shape[0];
        Subjects = subjects;
        TextTokens = textTokens;
        Length = (int)labels.shape[1] + textTokens;
        Present = present ?? ((_, _) => true);

        using var scope = NewDisposeScope();
        var host = labels.cpu();
        tokens = Table((image, subject) =>
            Where(Present(image, subject) ? host[image].eq(subject + 1) : zeros(0, ScalarType.Bool)));
        foreign = Table((image, subject) => Present(image, subject)
            ? cat([zeros(0, ScalarType.Int64), .. Others(image).Select(other => tokens[other][subject] + (other * Length))])
            : zeros(0, ScalarType.Int64));
        background = [.. Enumerable.Range(0, Images).Select(Background)];

        tokens = Keep(tokens, device);
        foreign = Keep(foreign, device);
        background = Keep(background, device);

        Tensor Where(Tensor mask) => mask.nonzero().flatten() + TextTokens;

        Tensor Background(int image)
        {
            var free = ones(Length - TextTokens, ScalarType.Bool);
            foreach (var subject in tokens[image])
            {
                free.index_fill_(0, subject - TextTokens, false);
            }

            return Where(free);
        }
    }

    /// <summary>The number of images.</summary>
    public int Images { get; }

    /// <summary>The number of subjects.</summary>
    public int Subjects { get; }

    /// <summary>How many text tokens lead the sequence (joint attention); they belong to no subject and are never shared.</summary>
    public int TextTokens { get; }

    /// <summary>The length of the sequence: text tokens and image tokens.</summary>
    public int Length { get; }

    /// <summary>Whether an image takes part in sharing a subject.</summary>
    internal Func<int, int, bool> Present { get; }

    /// <summary>The tokens of one subject.</summary>
    /// <param name="masks">A mask per image over its tokens, bool, (images, tokens).</param>
    /// <param name="present">False takes an image out: it neither reads nor is read. Null: all take part.</param>
    /// <param name="textTokens">How many text tokens lead the sequences that the image tokens are part of.</param>
    public static SubjectTokens FromMasks(Tensor masks, IReadOnlyList<bool>? present = null, int textTokens = 0)
    {
        ArgumentNullException.ThrowIfNull(masks);
        using var scope = NewDisposeScope();
        Check(masks, present?.Count);
        Func<int, int, bool>? ofImage = present is null ? null : (image, _) => present[image];
        return new SubjectTokens(masks.to_type(ScalarType.Int64), 1, ofImage, textTokens, masks.device);
    }

    /// <summary>The tokens of several subjects.</summary>
    /// <param name="labels">For every token of every image 0 for background or s for subject s, (images, tokens).</param>
    /// <param name="subjects">The number of subjects.</param>
    /// <param name="present">Whether an image (first argument, from 0) takes part in sharing a subject (second, from 0); null: all
    /// do.</param>
    /// <param name="textTokens">How many text tokens lead the sequences that the image tokens are part of.</param>
    /// <param name="device">Where the layers' tensors are; null: where the labels are.</param>
    public static SubjectTokens FromLabels(
        Tensor labels, int subjects, Func<int, int, bool>? present = null, int textTokens = 0, Device? device = null)
    {
        ArgumentNullException.ThrowIfNull(labels);
        Check(labels, null);
        return new SubjectTokens(labels, subjects, present, textTokens, device ?? labels.device);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in tokens.Concat(foreign).SelectMany(row => row).Concat(background))
        {
            tensor.Dispose();
        }
    }

    /// <summary>Where a subject's tokens are in an image's sequence.</summary>
    internal Tensor Of(int image, int subject) => tokens[image][subject];

    /// <summary>Where a subject's tokens are in the other images, as indices into (images · length).</summary>
    internal Tensor ForeignTo(int image, int subject) => foreign[image][subject];

    /// <summary>Where the image tokens that belong to no subject are in an image's sequence.</summary>
    internal Tensor BackgroundOf(int image) => background[image];

    /// <summary>Finds how many times the images are repeated in a batch (once per guidance half), image by image in each.</summary>
    internal long RepeatsIn(Tensor batch, int tokenAxis, string name)
    {
        if (batch.shape[0] % Images != 0 || batch.shape[tokenAxis] != Length)
        {
            throw new ArgumentException(
                $"The masks are of {Images} images with {Length} tokens, but '{name}' has {batch.shape[0]} rows " +
                $"(a multiple of {Images} is needed) with {batch.shape[tokenAxis]} tokens.",
                name);
        }

        return batch.shape[0] / Images;
    }

    private static void Check(Tensor masks, int? present)
    {
        if (masks.dim() != 2 || (present ?? masks.shape[0]) != masks.shape[0])
        {
            throw new ArgumentException(
                $"Masks of shape (images, tokens), and one 'present' per image, are needed; the masks have shape " +
                $"({string.Join(", ", masks.shape)})" + (present is null ? "." : $" and there are {present} 'present'."),
                nameof(masks));
        }
    }

    private static Tensor[] Keep(Tensor[] tensors, Device device) => [.. tensors.Select(x => x.to(device).DetachFromDisposeScope())];

    private static Tensor[][] Keep(Tensor[][] tensors, Device device) => [.. tensors.Select(row => Keep(row, device))];

    private IEnumerable<int> Others(int image) => Enumerable.Range(0, Images).Where(other => other != image);

    private Tensor[][] Table(Func<int, int, Tensor> cell) =>
        [.. Enumerable.Range(0, Images).Select(image => Enumerable.Range(0, Subjects).Select(subject => cell(image, subject)).ToArray())];
}
