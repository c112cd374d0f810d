using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Story;

/// <summary>The composed method as it is written down, dense: attention over all tokens of all scenes under an N·L × N·L bias, and
/// harmonization token by token. float64.</summary>
internal sealed record NaiveStory(StoryAttentionOptions Options, Tensor Labels, int TextTokens, double LayoutWeight, bool Share,
    bool Harmonize)
{
    /// <summary>Whether a scene reads another; null for all.</summary>
    public Func<int, int, bool>? Reads { get; init; }

    /// <summary>Where each scene is; null for nowhere.</summary>
    public IReadOnlyList<string?>? Locations { get; init; }

    /// <summary>What is added to a logit of a scene's own token: scene, query, key.</summary>
    public Func<int, int, int, double>? Words { get; init; }

    private LocationOptions Location => Options.Over(StoryAttentionOptions.Default).Location!;

    private SharingOptions Sharing => Options.Over(StoryAttentionOptions.Default).Sharing!;

    /// <summary>Attends in one guidance half.</summary>
    /// <param name="query">(scenes, heads, tokens, width), as are the others.</param>
    /// <param name="key">Keys.</param>
    /// <param name="value">Values.</param>
    /// <param name="baseQuery">The unmodified branch's queries.</param>
    public Tensor Attend(Tensor query, Tensor key, Tensor value, Tensor baseQuery)
    {
        var image = (arange(query.shape[2]) >= TextTokens).view(1, 1, -1, 1);
        query = where(image, (query * (1 - LayoutWeight)) + (baseQuery * LayoutWeight), query);
        var attended = Dense(query, key, value);
        return Blend(attended);
    }

    /// <summary>Whether a token belongs to no subject and is one of a location that the other token's scene is in too.</summary>
    private bool SharePlace(long scene, long token, long other, long otherToken) => Locations?[(int)scene] is { } place
        && place == Locations[(int)other] && token >= TextTokens && otherToken >= TextTokens
        && LabelOf(scene, token) == 0 && LabelOf(other, otherToken) == 0;

    private long LabelOf(long scene, long token) => token < TextTokens ? 0 : Labels[scene, token - TextTokens].item<long>();

    private Tensor Dense(Tensor query, Tensor key, Tensor value)
    {
        var (scenes, length) = (query.shape[0], query.shape[2]);
        var bias = zeros([scenes * length, scenes * length], ScalarType.Float64);
        var labels = zeros([scenes * length], ScalarType.Int64);
        for (var row = 0L; row < scenes * length; row++)
        {
            labels[row] = LabelOf(row / length, row % length);
        }

        var label = labels.data<long>().ToArray();
        for (var row = 0L; row < scenes * length; row++)
        {
            var reads = row % length < TextTokens ? -1 : label[row];
            for (var column = 0L; column < scenes * length; column++)
            {
                var (scene, other) = ((int)(row / length), (int)(column / length));
                var crossImage = scene != other;
                var shared = Share && crossImage && Reads?.Invoke(scene, other) != false && label[column] > 0
                    && (reads == label[column] || (reads == 0 && Sharing.SubjectQueriesOnly == false));
                var (token, read) = ((int)(row % length), (int)(column % length));
                bias[row, column] = !crossImage ? Words?.Invoke(scene, token, read) ?? 0
                    : shared ? Math.Log(Sharing.Strength!.Value)
                    : Reads?.Invoke(scene, other) != false && SharePlace(scene, token, other, read) ? Math.Log(Location.Strength!.Value)
                    : double.NegativeInfinity;
            }
        }

        var weights = (All(query).matmul(All(key).transpose(1, 2)) / Math.Sqrt(query.shape[3])) + bias;
        return weights.softmax(-1).matmul(All(value)).unflatten(1, [scenes, length]).transpose(0, 1);

        static Tensor All(Tensor x) => x.transpose(0, 1).flatten(1, 2);
    }

    private Tensor Blend(Tensor attended)
    {
        var options = Options.Over(StoryAttentionOptions.Default).Harmonization!;
        var tokens = attended.transpose(1, 2).flatten(2);
        var (scenes, length) = (tokens.shape[0], tokens.shape[1]);
        var result = tokens.clone();
        for (var scene = 0L; scene < scenes; scene++)
        {
            for (var token = 0L; token < length; token++)
            {
                var isSubject = LabelOf(scene, token) > 0;
                var alpha = isSubject ? Harmonize ? options.Alpha!.Value : 0 : Location.Alpha!.Value;

                var matches = new List<(double Similarity, Tensor Token)>();
                for (var other = 0L; other < scenes; other++)
                {
                    var candidates = Enumerable.Range(0, (int)length)
                        .Where(t => other != scene && Reads?.Invoke((int)scene, (int)other) != false)
                        .Where(t => isSubject ? LabelOf(other, t) == LabelOf(scene, token) : SharePlace(scene, token, other, t))
                        .Select(t => (Similarity: Cosine(tokens[other, t], tokens[scene, token]), Token: tokens[other, t]))
                        .ToList();
                    if (candidates.Count > 0 && candidates.MaxBy(candidate => candidate.Similarity) is { } best
                        && best.Similarity > options.Threshold)
                    {
                        matches.Add(best);
                    }
                }

                if (matches.Count > 0)
                {
                    var total = matches.Sum(match => Math.Exp(match.Similarity / options.Temperature!.Value));
                    var mix = matches
                        .Select(match => match.Token * (Math.Exp(match.Similarity / options.Temperature!.Value) / total))
                        .Aggregate((sum, next) => sum + next);
                    result[scene, token] = (tokens[scene, token] * (1 - alpha)) + (mix * alpha);
                }
            }
        }

        return result.unflatten(2, [attended.shape[1], -1]).transpose(1, 2);
    }

    private static double Cosine(Tensor a, Tensor b) => (a.dot(b) / (a.norm() * b.norm())).item<double>();
}
