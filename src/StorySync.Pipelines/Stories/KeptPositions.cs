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
