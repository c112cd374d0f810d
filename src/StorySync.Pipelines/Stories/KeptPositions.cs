using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Where the tokens that a bank keeps of a call are, as one tensor of int32: the number of anchors, the number of lists of each,
/// the length of each list, and their entries.</summary>
internal static class KeptPositions
{
    public static Tensor ToTensor(IReadOnlyList<IReadOnlyList<IReadOnlyList<int>>> positions)
    {
        int[] numbers =
        [
            positions.Count,
            positions[0].Count,
            .. positions.SelectMany(ofAnchor => ofAnchor.Select(list => list.Count)),
            .. positions.SelectMany(ofAnchor => ofAnchor.SelectMany(list => list)),
        ];
        return tensor(numbers);
    }

    /// <summary>Finds what keeps numbers that come from a file from being the places of some tokens.</summary>
    /// <param name="numbers">The numbers.</param>
    /// <param name="anchors">How many anchors the bank has.</param>
    /// <param name="subjects">How many subjects it has.</param>
    /// <param name="tokens">How many tokens are kept.</param>
    /// <returns>What is wrong, in words; null for nothing.</returns>
    public static string? FaultOf(ReadOnlySpan<int> numbers, int anchors, int subjects, long tokens)
    {
        if (numbers.Length < 2 || numbers[0] != anchors || (numbers[1] != subjects && numbers[1] != subjects + 1))
        {
            return $"it does not begin with the number of anchors, {anchors}, and of lists for each, {subjects} or {subjects + 1}";
        }

        var lengths = (long)anchors * numbers[1];
        if (numbers.Length != 2 + lengths + tokens)
        {
            return $"it has {numbers.Length} numbers; {lengths} lists of {tokens} tokens are {2 + lengths + tokens}";
        }

        var sum = 0L;
        foreach (var length in numbers[2..(2 + (int)lengths)])
        {
            sum += length < 0 ? tokens + 1 : length;
        }

        return sum != tokens ? $"its lists have other lengths than {tokens} tokens altogether"
            : numbers[(2 + (int)lengths)..].ContainsAnyExceptInRange(0, int.MaxValue) ? "a token's place is negative"
            : null;
    }

    /// <summary>The places of all tokens.</summary>
    public static ReadOnlySpan<int> PlacesOf(ReadOnlySpan<int> numbers) => numbers[(2 + (numbers[0] * numbers[1]))..];

    public static IReadOnlyList<IReadOnlyList<IReadOnlyList<int>>> Of(ReadOnlySpan<int> numbers)
    {
        var (anchors, lists) = (numbers[0], numbers[1]);
        var at = 2 + (anchors * lists);
        var positions = new IReadOnlyList<IReadOnlyList<int>>[anchors];
        for (var anchor = 0; anchor < anchors; anchor++)
        {
            var ofAnchor = new IReadOnlyList<int>[lists];
            for (var list = 0; list < lists; list++)
            {
                var count = numbers[2 + (anchor * lists) + list];
                ofAnchor[list] = numbers.Slice(at, count).ToArray();
                at += count;
            }

            positions[anchor] = ofAnchor;
        }

        return positions;
    }
}
