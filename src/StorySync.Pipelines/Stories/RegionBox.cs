using System.Globalization;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Represents a box in an image, in fractions of its width and height: <c>new RegionBox(0, 0, 0.5, 1)</c> is the left
/// half.</summary>
public sealed record RegionBox
{
    // For decimals that are rounded, such as 0.333 + 0.667 in another base.
    private const double Slack = 1e-9;

    /// <summary>Initializes a new instance of the <see cref="RegionBox"/> class.</summary>
    /// <param name="left">See <see cref="Left"/>.</param>
    /// <param name="top">See <see cref="Top"/>.</param>
    /// <param name="width">See <see cref="Width"/>.</param>
    /// <param name="height">See <see cref="Height"/>.</param>
    /// <exception cref="ArgumentException">The box is empty, or not within the image.</exception>
    public RegionBox(double left, double top, double width, double height)
    {
        (Left, Top, Width, Height) = (left, top, width, height);
        RequestRules.Require(
            left >= 0 && top >= 0 && width > 0 && height > 0 && left + width <= 1 + Slack && top + height <= 1 + Slack,
            $"The region {this} is not within the image; left, top, width and height are fractions of it: none is negative, width and "
                + "height are more than 0, and left + width and top + height at most 1.");
    }

    /// <summary>Gets where the box begins: 0 is the image's left edge, 1 its right one.</summary>
    public double Left { get; }

    /// <summary>Gets where the box begins: 0 is the image's upper edge, 1 its lower one.</summary>
    public double Top { get; }

    /// <summary>Gets the box's share of the image's width, more than 0.</summary>
    public double Width { get; }

    /// <summary>Gets the box's share of the image's height, more than 0.</summary>
    public double Height { get; }

    /// <summary>Returns the box as a list of its members: "[0, 0, 0.5, 1]".</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"[{Left}, {Top}, {Width}, {Height}]");

    /// <summary>Returns a bool tensor, (height, width): true for the pixels whose middle lies in the box.</summary>
    internal Tensor ToMask(int width, int height)
    {
        using var scope = NewDisposeScope();
        var mask = zeros([height, width], ScalarType.Bool);
        var (left, top) = (Pixel(Left, width), Pixel(Top, height));
        using var inside = mask.narrow(0, top, Pixel(Top + Height, height) - top).narrow(1, left, Pixel(Left + Width, width) - left);
        inside.logical_not_();
        return mask.MoveToOuterDisposeScope();

        static long Pixel(double fraction, int pixels) => (long)Math.Clamp(Math.Ceiling((fraction * pixels) - 0.5), 0, pixels);
    }
}
