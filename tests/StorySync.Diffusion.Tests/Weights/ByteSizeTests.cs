using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.Tests.Weights;

public class ByteSizeTests
{
    [Theory]
    [InlineData(0, "0 bytes")]
    [InlineData(999, "999 bytes")]
    [InlineData(1000, "1 kB")]
    [InlineData(1_240_000, "1.2 MB")]
    [InlineData(1_000_000, "1 MB")]
    [InlineData(7_340_000_000, "7.34 GB")]
    [InlineData(1_000_000_000, "1.0 GB")]
    public void Sizes_are_told_in_powers_of_1000(long bytes, string text) => Assert.Equal(text, ByteSize.Text(bytes));

    [Theory]
    [InlineData(500_000, 2_000_000, "0.5 of 2 MB")]
    [InlineData(1_999_999, 2_000_000, "1999999 of 2000000 bytes")]
    [InlineData(3, 12, "3 of 12 bytes")]
    public void A_part_is_told_in_the_units_of_the_whole_as_long_as_they_differ(long present, long expected, string text) =>
        Assert.Equal(text, ByteSize.Progress(present, expected));
}
