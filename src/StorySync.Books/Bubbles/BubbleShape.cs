using SkiaSharp;

namespace StorySync.Books;

/// <summary>The outline of a speech bubble.</summary>
internal static class BubbleShape
{
    /// <summary>Creates the outline, for the caller to dispose.</summary>
    /// <param name="box">The bubble.</param>
    /// <param name="speaker">The speaker's mouth, to which the tail points; null for no tail.</param>
    /// <param name="isTaken">Whether a tail may not come to a point: a face is there.</param>
    /// <param name="longest">The longest tail.</param>
    public static SKPath Create(SKRect box, SKPoint? speaker, Func<SKPoint, bool> isTaken, float longest)
    {
        var radius = Math.Min(box.Height / 2, Math.Min(box.Width / 2, box.Height * 0.42f));
        using var builder = new SKPathBuilder();
        builder.AddRoundRect(box, radius, radius);
        var body = builder.Detach();
        if (speaker is not { } mouth || Tip(box, mouth, isTaken, longest) is not { } tip)
        {
            return body;
        }

        // The tail begins inside, so that its foot is covered, and is broader for larger bubbles.
        var inside = box;
        inside.Inflate(-Math.Min(radius, box.Width / 3), -box.Height * 0.35f);
        var foot = new SKPoint(Math.Clamp(tip.X, inside.Left, inside.Right), Math.Clamp(tip.Y, inside.Top, inside.Bottom));
        var (x, y) = (tip.X - foot.X, tip.Y - foot.Y);
        var length = MathF.Sqrt((x * x) + (y * y));
        var half = Math.Min(box.Height * 0.16f, length * 0.3f);
        var (acrossX, acrossY) = (-y / length * half, x / length * half);
        using var tailBuilder = new SKPathBuilder();
        tailBuilder.MoveTo(foot.X + acrossX, foot.Y + acrossY);
        tailBuilder.LineTo(tip);
        tailBuilder.LineTo(foot.X - acrossX, foot.Y - acrossY);
        tailBuilder.Close();
        using var tail = tailBuilder.Detach();
        var outline = body.Op(tail, SKPathOp.Union);
        if (outline is null)
        {
            return body;
        }

        body.Dispose();
        return outline;
    }

    /// <summary>Where the tail ends: on the way to the mouth, before a face; null where there is no way.</summary>
    private static SKPoint? Tip(SKRect box, SKPoint mouth, Func<SKPoint, bool> isTaken, float longest)
    {
        var start = new SKPoint(Math.Clamp(mouth.X, box.Left, box.Right), Math.Clamp(mouth.Y, box.Top, box.Bottom));
        var distance = SKPoint.Distance(start, mouth);
        var steps = (int)Math.Ceiling(Math.Min(distance, longest));
        SKPoint? tip = null;
        for (var i = 1; i <= steps; i++)
        {
            var share = Math.Min(i, Math.Min(distance, longest)) / distance;
            var point = new SKPoint(start.X + ((mouth.X - start.X) * share), start.Y + ((mouth.Y - start.Y) * share));
            if (isTaken(point))
            {
                break;
            }

            tip = point;
        }

        return tip;
    }
}
