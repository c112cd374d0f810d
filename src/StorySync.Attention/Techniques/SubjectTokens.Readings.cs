using StorySync.Kernels;

namespace StorySync.Attention;

// Who reads which tokens of other images.
public sealed partial class SubjectTokens
{
    private readonly Dictionary<Sharing, IReadOnlyList<Reading>> readings = [];
    private readonly Dictionary<Sharing, IReadOnlyList<TokenGroup>> groups = [];

    /// <summary>Gets who reads tokens of other images, and which; image by image. Where queries are placed, also those that read none but
    /// turn from words.</summary>
    /// <param name="sharing">What is read.</param>
    internal IReadOnlyList<Reading> Readings(Sharing sharing)
    {
        if (!readings.TryGetValue(sharing, out var found))
        {
            found = [.. Enumerable.Range(0, Images).SelectMany(image => sharing.Placed
                ? Place(image, [.. ReadingsOf(image, sharing)]) : ReadingsOf(image, sharing))];
            readings.Add(sharing, found);
        }

        return found;
    }

    /// <summary>Gets all tokens by what they read: <see cref="Readings"/>, and for each image those that read nothing else.</summary>
    /// <param name="sharing">What is read.</param>
    internal IReadOnlyList<TokenGroup> Groups(Sharing sharing)
    {
        if (!groups.TryGetValue(sharing, out var found))
        {
            var ofReaders = Readings(sharing);
            found = [.. Enumerable.Range(0, Images).SelectMany(image =>
            {
                var readers = ofReaders.Where(reading => reading.Image == image).ToList();
                var rest = Enumerable.Range(0, Length).Except(readers.SelectMany(reading => reading.Queries));
                return readers.Select(GroupOf).Append(new(image, [.. rest], []));
            })];
            groups.Add(sharing, found);
        }

        return found;
    }

    /// <summary>Gets a reading as the kernel takes it.</summary>
    internal TokenGroup GroupOf(Reading reading)
    {
        float[]? bias = null;
        foreach (var word in reading.Words)
        {
            bias ??= new float[Length];
            bias[word.Token] += (float)word.Bias;
        }

        var crossImage = reading.CrossImage.Select(part => new CrossImageTokens(part.Tokens, (float)part.Bias));
        return new(reading.Image, reading.Queries, [.. crossImage], bias);
    }

    private IEnumerable<Reading> ReadingsOf(int image, Sharing sharing)
    {
        var bias = Math.Log(sharing.Strength);
        int[][] elsewhere =
            [.. Enumerable.Range(0, Subjects).Select(subject => sharing.Strength > 0 ? TokensElsewhere(image, subject) : [])];
        for (var subject = 0; subject < Subjects; subject++)
        {
            var own = tokens[image][subject];
            if (own.Length > 0 && elsewhere[subject].Length > 0)
            {
                yield return new(image, own, [new(subject, elsewhere[subject], bias)], own, []);
            }
        }

        var (parts, ownOfParts) = (new List<CrossImageSubject>(), new List<int>());
        if (sharing.Background && elsewhere.Any(read => read.Length > 0))
        {
            parts.Add(new(CrossImageSubject.OfAll, [.. elsewhere.SelectMany(read => read)], bias));
            ownOfParts.AddRange(tokens[image][..Subjects].SelectMany(own => own));
        }

        if (sharing.LocationStrength > 0 && tokens[image][Location].Length > 0
            && TokensElsewhere(image, Location) is { Length: > 0 } around)
        {
            parts.Add(new(Location, around, Math.Log(sharing.LocationStrength)));
            ownOfParts.AddRange(tokens[image][Location]);
        }

        if (parts.Count > 0 && background[image].Length > 0)
        {
            yield return new(image, background[image], parts, [.. ownOfParts], []);
        }
    }

    /// <summary>Divides what an image reads by the words that its queries turn from.</summary>
    private IEnumerable<Reading> Place(int image, IReadOnlyList<Reading> ofImage)
    {
        var rest = Enumerable.Range(0, Length).Except(ofImage.SelectMany(reading => reading.Queries)).ToHashSet();
        foreach (var reading in ofImage)
        {
            var others = reading.Queries.Except(placed![image].SelectMany(part => part.Queries)).ToArray();
            if (others.Length > 0)
            {
                yield return reading with { Queries = others };
            }

            foreach (var part in placed[image])
            {
                if (reading.Queries.Intersect(part.Queries).ToArray() is { Length: > 0 } queries)
                {
                    yield return reading with { Queries = queries, Words = part.Words };
                }
            }
        }

        foreach (var part in placed![image])
        {
            if (part.Queries.Where(rest.Contains).ToArray() is { Length: > 0 } queries)
            {
                yield return new(image, queries, [], [], part.Words);
            }
        }
    }

    /// <summary>Where a subject's tokens are in the images that an image reads, as indices into (images · length).</summary>
    private int[] TokensElsewhere(int image, int subject) => subject == Location || takesPart(image, subject)
        ? [.. Enumerable.Range(0, Images).Where(other => Reads(image, other, subject))
            .SelectMany(other => tokens[other][subject].Select(token => (other * Length) + token))]
        : [];
}
