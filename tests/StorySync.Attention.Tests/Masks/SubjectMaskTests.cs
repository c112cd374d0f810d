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
}
