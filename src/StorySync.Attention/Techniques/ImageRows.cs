namespace StorySync.Attention;

/// <summary>Represents where the images that share are among the rows of a layer's batch: in order, once for every repeat (guidance
/// half).</summary>
/// <param name="Repeats">How often they are repeated.</param>
/// <param name="Stride">Rows from one repeat to the next; there may be others after the images.</param>
/// <param name="First">The row of the first.</param>
internal readonly record struct ImageRows(long Repeats, long Stride, long First = 0)
{
    /// <summary>Gets an image's row.</summary>
    public long Of(long repeat, long image) => First + (repeat * Stride) + image;

    /// <summary>Gets one repeat by itself.</summary>
    public ImageRows Only(long repeat) => new(1, Stride, Of(repeat, 0));
}
