using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Masks;

public class SubjectMaskTests
{
    [Fact]
    public void Maps_are_scaled_one_by_one_and_a_constant_one_is_zero()
    {
        using var scope = NewDisposeScope();
        var maps = tensor(new float[] { 1, 3, 5, 3, 7, 7, 7, 7 }).view(2, 2, 2);
        Assert.Equal([0, 0.5f, 1, 0.5f, 0, 0, 0, 0], SubjectMask.Scale(maps).data<float>().ToArray());
    }

    [Fact]
    public void The_largest_map_wins_among_the_masks_that_hold_a_token_and_the_first_of_equals()
    {
        using var scope = NewDisposeScope();
        var maps = tensor(new[] { 0.9f, 0.5f, 0.6f, 0.3f, 0.2f, 0.5f, 0.8f, 0.4f }).view(2, 1, 4);
        var masks = tensor(new[] { true, true, true, false, true, true, false, false }).view(2, 1, 4);
        Assert.Equal(
            [true, true, true, false, false, false, false, false],
            SubjectMask.Exclusive(maps, masks).data<bool>().ToArray());
    }

    /// <summary>The mean over layers and heads is 1, 2, 3 and 9, of which the largest stands out.</summary>
    [Fact]
    public void Maps_are_averaged_over_layers_and_heads_scaled_and_cut()
    {
        using var scope = NewDisposeScope();
        var offsets = tensor(new[] { 1f, -1, 2, -2 }).view(2, 2, 1, 1);
        var (map, mask) = SubjectMask.FromMaps(tensor(new float[] { 1, 2, 3, 9 }).view(1, 1, 2, 2) + offsets);
        Assert.Equal([2, 2], map.shape);
        Assert.Equal([0, 0.125f, 0.25f, 1], map.data<float>().ToArray());
        Assert.Equal([false, false, false, true], mask.data<bool>().ToArray());
    }

    /// <summary>The last map's threshold is the center of its lowest bin, 1/512: what lies just there is background.</summary>
    [Fact]
    public void Each_map_is_cut_by_its_own_threshold()
    {
        using var scope = NewDisposeScope();
        var maps = tensor(new[] { 0f, 0, 0, 1, 0, 0.5f, 0.5f, 0.5f, 1f / 512, 1, 0, 0 }).view(3, 2, 2);
        Assert.Equal(
            [false, false, false, true, false, true, true, true, false, true, false, false],
            SubjectMask.Threshold(maps).data<bool>().ToArray());
    }

    [Fact]
    public void Small_differences_are_scaled_too()
    {
        using var scope = NewDisposeScope();
        Assert.Equal([0, 1, 0.5f], SubjectMask.Scale(tensor(new[] { 0.25f, 0.75f, 0.5f }).view(1, 3)).data<float>().ToArray());
    }

    [Fact]
    public void Scenes_are_divided_between_subjects_one_by_one()
    {
        using var scope = NewDisposeScope();
        var maps = rand([2, 3, 4, 5], generator: new Generator(3, CPU));
        var masks = maps.gt(rand([2, 3, 4, 5], generator: new Generator(4, CPU)));
        var together = SubjectMask.Exclusive(maps, masks);
        Assert.Equal(maps.shape, together.shape);
        Assert.True(together.sum(1).le(1).all().item<bool>());
        for (var scene = 0; scene < 2; scene++)
        {
            TensorAssert.SameBits(SubjectMask.Exclusive(maps[scene], masks[scene]), together[scene]);
        }
    }
}
