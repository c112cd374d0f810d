using StorySync.Evaluation;

namespace StorySync.Samples.Evaluate;

/// <summary>What participants preferred.</summary>
/// <param name="Question">The question's name.</param>
/// <param name="Wins">How often the variant was preferred.</param>
/// <param name="Losses">How often the other one was.</param>
/// <param name="Ties">How often neither was.</param>
/// <param name="Preference">The mean over participants of the share of answers for the variant, a tie counting half.</param>
internal sealed record BlindScore(string Question, int Wins, int Losses, int Ties, Interval Preference)
{
    /// <summary>The two-sided sign test without ties: the probability of a result at least as uneven if both were liked equally.</summary>
    public double SignTest
    {
        get
        {
            var n = Wins + Losses;
            var (logTerm, sum) = (-n * Math.Log(2), 0.0);
            for (var k = 0; k <= Math.Min(Wins, Losses); k++)
            {
                sum += Math.Exp(logTerm);
                logTerm += Math.Log((double)(n - k) / (k + 1));
            }

            return Math.Min(1, 2 * sum);
        }
    }

    /// <param name="key">Which variant was where.</param>
    /// <param name="participants">The answers, by participant.</param>
    /// <param name="variant">The variant whose preference is counted.</param>
    /// <exception cref="UserErrorException">An answer does not belong to the key or is there twice, or there is none.</exception>
    /// <exception cref="UserErrorException">The page did not show the variant.</exception>
    public static IReadOnlyList<BlindScore> Of(BlindKey key, IReadOnlyList<BlindAnswers> participants, string variant)
    {
        Check(key, participants, variant);
        var pairs = key.Pairs.ToDictionary(pair => pair.Id);
        double Points(BlindAnswer answer) => answer.Choice switch
        {
            "A" => pairs[answer.Pair].A == variant ? 1 : 0,
            "B" => pairs[answer.Pair].B == variant ? 1 : 0,
            _ => 0.5,
        };

        return
        [
            .. BlindPage.QuestionNames.Select(question =>
            {
                var points =
                    participants.Select(person => person.Answers.Where(answer => answer.Question == question).Select(Points).ToArray())
                    .Where(own => own.Length > 0).ToArray();
                var all = points.SelectMany(own => own).ToArray();
                return all.Length == 0
                    ? null
                    : new BlindScore(question, all.Count(p => p == 1), all.Count(p => p == 0), all.Count(p => p == 0.5),
                        Bootstrap.Mean([.. points.Select(own => own.Average())]));
            }).OfType<BlindScore>(),
        ];
    }

    private static void Check(BlindKey key, IReadOnlyList<BlindAnswers> participants, string variant)
    {
        if (key.Pairs.Any(pair => pair is null) || key.Pairs.DistinctBy(pair => pair.Id).Count() < key.Pairs.Count)
        {
            throw new UserErrorException("The key has a pair that is empty, or there twice; the file was changed or is broken.");
        }

        if (key.Pairs.FirstOrDefault(pair => pair.A != variant && pair.B != variant) is { } other)
        {
            throw new UserErrorException(
                $"The page did not show '{variant}'; it compared '{other.A}' and '{other.B}'. Choose one of them with --second.");
        }

        if (participants.FirstOrDefault(person => person.Page != key.Page) is { } stranger)
        {
            throw new UserErrorException(
                $"The answers of {stranger.Participant} are to page {stranger.Page}; the key is page {key.Page}'s.");
        }

        foreach (var person in participants)
        {
            foreach (var answer in person.Answers)
            {
                if (!Belongs(answer, key))
                {
                    throw new UserErrorException(
                        $"An answer of {person.Participant} is none that the page allows ({answer?.ToString() ?? "empty"}); the file was "
                            + $"changed or is broken.");
                }
            }

            if (person.Answers.GroupBy(answer => (answer.Pair, answer.Question)).FirstOrDefault(group => group.Count() > 1) is { } repeated)
            {
                throw new UserErrorException(
                    $"{person.Participant} answered question '{repeated.Key.Question}' of pair {repeated.Key.Pair} more than once; the "
                        + $"file was changed or is broken.");
            }
        }

        if (participants.All(person => person.Answers.Count == 0))
        {
            throw new UserErrorException("There is no answer in these files.");
        }

        if (participants.GroupBy(person => person.Participant).FirstOrDefault(group => group.Count() > 1) is { } twice)
        {
            throw new UserErrorException($"The answers of {twice.Key} are there twice; give the later file alone.");
        }
    }

    private static bool Belongs(BlindAnswer? answer, BlindKey key) => answer is not null
        && key.Pairs.Any(pair => pair.Id == answer.Pair) && BlindPage.QuestionNames.Contains(answer.Question)
            && answer.Choice is "A" or "B" or "same";
}
