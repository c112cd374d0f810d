namespace StorySync.Samples.Evaluate;

/// <summary>What participants of a blind page are not told.</summary>
/// <param name="Page">The page's name; another set of images or another order has another one.</param>
/// <param name="Pairs">Its pairs.</param>
internal sealed record BlindKey(string Page, IReadOnlyList<BlindPair> Pairs);

/// <summary>Which variants a pair of the blind page shows.</summary>
/// <param name="Id">The pair's number on the page.</param>
/// <param name="Story">The story.</param>
/// <param name="Seed">Its seed.</param>
/// <param name="A">The variant of the upper row.</param>
/// <param name="B">The variant of the lower row.</param>
internal sealed record BlindPair(string Id, string Story, long Seed, string A, string B);

/// <summary>What a participant answered, as the page saves it.</summary>
/// <param name="Page">The page's name.</param>
/// <param name="Participant">A random name.</param>
/// <param name="Answers">The answers.</param>
internal sealed record BlindAnswers(string Page, string Participant, IReadOnlyList<BlindAnswer> Answers);

/// <summary>An answer.</summary>
/// <param name="Pair">The pair's number.</param>
/// <param name="Question">The question's name.</param>
/// <param name="Choice"><c>A</c>, <c>B</c>, or <c>same</c> for no difference.</param>
internal sealed record BlindAnswer(string Pair, string Question, string Choice);
