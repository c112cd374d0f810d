using StorySync.Pipelines;

namespace StorySync.Evaluation.Tests;

public class LayoutTests
{
    [Fact]
    public void Overlap_is_what_both_have_of_what_either_has() =>
        Assert.Equal(1 / 3.0, Layout.Iou(Regions.Of("##."), Regions.Of(".##")), 1e-12);

    [Fact]
    public void Two_empty_regions_agree() => Assert.Equal(1, Layout.Iou(Regions.Of(".."), Regions.Of("..")));

    [Fact]
    public void Regions_of_other_grids_are_refused() =>
        Assert.Throws<ArgumentException>(() => Layout.Iou(Regions.Of(".."), Regions.Of("...")));

    [Fact]
    public void One_region_has_no_diversity() => Assert.Throws<ArgumentException>(() => Layout.Diversity([Regions.Of("##")]));

    [Fact]
    public void A_region_covers_cells_of_another_grid_by_their_overlap()
    {
        var cover = Regions.Of("#.#").Coverage(2, 1);
        Assert.Equal([2 / 3.0, 2 / 3.0], cover, (a, b) => Math.Abs(a - b) < 1e-12);
        Assert.Equal([1, 1, 0, 0], Regions.Of("#.").Coverage(4, 1));
    }

    [Fact]
    public void A_region_smaller_than_a_patch_holds_the_one_it_covers_most()
    {
        float[][] patches = [[1], [2], [3], [4]];
        Assert.Equal([[3f]], PatchSimilarity.Inside(new PatchGrid(2, 2, patches), Regions.Of("....", "....", "....", "#...")));
        Assert.Equal([[2f], [4f]], PatchSimilarity.Inside(new PatchGrid(2, 2, patches), Regions.Of(".#")));
        Assert.Throws<ArgumentException>(() => PatchSimilarity.Inside(new PatchGrid(2, 2, patches), Regions.Of("..")));
    }

    [Fact]
    public void Patches_match_wherever_they_are()
    {
        float[][] one = [[1, 0], [0, 1]];
        Assert.Equal(1, PatchSimilarity.Between(one, [[0, 2], [3, 0]]), 1e-6);
        Assert.Equal(0.75, PatchSimilarity.Between(one, [[0, 2]]), 1e-6);
    }

    [Theory]
    [InlineData("erode")]
    [InlineData("dilate")]
    public void Masks_shrink_and_grow(string way)
    {
        var region = Regions.Of("....", "###.", "###.", "###.");
        Assert.Equal(
            way == "erode" ? ["....", "....", ".#..", "...."] : ["####", "####", "####", "####"],
            Regions.Drawn(way == "erode" ? MaskDegradation.Erode(region, 1) : MaskDegradation.Dilate(region, 1)));
    }

    [Fact]
    public void Masks_move_speckle_swap_and_go()
    {
        var region = Regions.Of("##..", "....");
        Assert.Equal(["....", ".##."], Regions.Drawn(MaskDegradation.Shift(region, 1, 1)));
        Assert.Equal(["#...", "...."], Regions.Drawn(MaskDegradation.Shift(region, -1, 0)));
        Assert.Equal(["....", "..##"], Regions.Drawn(MaskDegradation.Swap(region)));
        Assert.Equal(["....", "...."], Regions.Drawn(MaskDegradation.Drop(region)));
        Assert.Equal(["##..", "...."], Regions.Drawn(MaskDegradation.Speckle(region, 0)));
        Assert.Equal(["..##", "####"], Regions.Drawn(MaskDegradation.Speckle(region, 1)));
    }
}
