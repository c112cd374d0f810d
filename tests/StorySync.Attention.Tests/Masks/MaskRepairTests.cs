using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Masks;

public class MaskRepairTests
{
    private static readonly string[] Speckled =
    [
        "##.#....",
        "##.#...#",
        "........",
        ".....#..",
        "....#...",
    ];

    [Fact]
    public void Nothing_asked_nothing_changed() => Repair(Speckled, [.. Speckled]);

    [Fact]
    public void The_largest_components_stay_and_corners_connect() => Repair(
        Speckled,
        [
            "##.#....",
            "##.#....",
            "........",
            "........",
            "........",
        ],
        components: 2);

    [Fact]
    public void Small_components_go() => Repair(
        Speckled,
        [
            "##.#....",
            "##.#....",
            "........",
            ".....#..",
            "....#...",
        ],
        minArea: 2.0 / 40);

    [Fact]
    public void Gaps_close_and_nothing_is_lost() => Repair(
        Speckled,
        [
            "####....",
            "####...#",
            "........",
            "....##..",
            "....#...",
        ],
        closing: 1);

    [Fact]
    public void Closing_never_takes_a_cell_away()
    {
        using var scope = NewDisposeScope();
        var mask = rand(9, 13) > 0.6;
        var closed = MaskRepair.Apply(mask, closing: 2);
        TensorAssert.SameBits(closed.logical_or(mask), closed);
    }

    [Fact]
    public void Empty_stays_empty_and_full_stays_full()
    {
        using var scope = NewDisposeScope();
        Assert.False(MaskRepair.Apply(zeros([4, 5], ScalarType.Bool), 1, 1, 0.5).any().item<bool>());
        Assert.True(MaskRepair.Apply(ones([4, 5], ScalarType.Bool), 1, 1, 0.5).all().item<bool>());
    }

    private static void Repair(string[] mask, string[] expected, int closing = 0, int components = 0, double minArea = 0)
    {
        using var scope = NewDisposeScope();
        var repaired = MaskRepair.Apply(Parse(mask), closing, components, minArea);
        Assert.Equal(Parse(expected).data<bool>().ToArray(), repaired.data<bool>().ToArray());
    }

    private static Tensor Parse(string[] rows) =>
        tensor(string.Concat(rows).Select(cell => cell == '#').ToArray()).view(rows.Length, rows[0].Length);
}
