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

    [Theory]
    [InlineData("#....#", "######")]
    [InlineData("#.....#", "#.....#")]
    public void Gaps_up_to_twice_the_radius_close(string row, string closed)
    {
        Repair([row], [closed], closing: 2);
        Repair([.. row.Select(cell => $"{cell}")], [.. closed.Select(cell => $"{cell}")], closing: 2);
    }

    [Theory]
    [InlineData("#.#/.../...")]
    [InlineData("#../.../#..")]
    [InlineData("..#/#.#/...")]
    [InlineData("#..#/.#../..#.")]
    public void Cells_with_one_between_them_do_not_touch(string rows)
    {
        using var scope = NewDisposeScope();
        var mask = Parse(rows.Split('/'));
        Assert.True(MaskRepair.Apply(mask, components: 1).sum().item<long>() < mask.sum().item<long>());
        TensorAssert.SameBits(mask, MaskRepair.Apply(mask, components: 2));
    }

    [Fact]
    public void Of_equal_components_the_upper_left_one_stays() => Repair(["..#", "...", "#.."], ["..#", "...", "..."], components: 1);

    [Fact]
    public void A_component_of_just_the_least_area_stays() => Repair(["##..", "...#"], ["##..", "...."], minArea: 0.25);

    [Fact]
    public void A_single_cell_in_the_corner_is_a_component()
    {
        Repair(["#..", "..."], ["#..", "..."], components: 1);
        Repair(["...", "..#"], ["...", "..#"], components: 1);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void A_mask_has_two_dimensions(int dimensions)
    {
        using var scope = NewDisposeScope();
        var mask = ones(Enumerable.Repeat(2L, dimensions).ToArray(), ScalarType.Bool);
        Assert.Contains($"has {dimensions} dimensions", Assert.Throws<ArgumentException>(() => MaskRepair.Apply(mask)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Closing_never_takes_a_cell_away()
    {
        using var scope = NewDisposeScope();
        var mask = Seeded.Uniform(9, 13) > 0.6;
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
        TensorAssert.SameBits(Parse(expected), repaired);
    }

    private static Tensor Parse(string[] rows) =>
        tensor(string.Concat(rows).Select(cell => cell == '#').ToArray()).view(rows.Length, rows[0].Length);
}
