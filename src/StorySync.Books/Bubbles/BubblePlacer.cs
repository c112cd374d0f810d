using SkiaSharp;

namespace StorySync.Books;

/// <summary>A bubble to place.</summary>
/// <param name="Sizes">The sizes that it can have, the best first.</param>
/// <param name="Speaker">The speaker's mouth; null for somebody out of sight.</param>
internal sealed record Bubble(IReadOnlyList<SKSize> Sizes, SKPoint? Speaker);

/// <summary>Where a bubble stands.</summary>
/// <param name="Box">Its box.</param>
/// <param name="Size">Which of the bubble's sizes it has.</param>
/// <param name="IsFree">Whether it covers nobody at all.</param>
internal sealed record PlacedBubble(SKRect Box, int Size, bool IsFree);

/// <summary>Finds places for the bubbles of an image: in the area, off all figures, off each other, near who speaks, in reading
/// order.</summary>
/// <remarks>The figures are cells of a grid. A box that can be moved freely to the left, and then up, until it meets something stands at an
/// edge, so that the edges of cells and of bubbles are all the places there are to try: a free place is found where there is one.</remarks>
internal sealed class BubblePlacer
{
    /// <summary>Cells of the grid in each direction.</summary>
    public const int Cells = 48;

    // Of the area's diagonal.
    private const float MarginShare = 0.015f;
    private const float GapShare = 0.012f;
    private const float DistanceShare = 0.06f;

    /// <summary>How many of the best places are tried for a bubble before the next one is placed, and how often in all.</summary>
    private const int Alternatives = 8;
    private const int Tries = 60;

    private readonly SKRect area;
    private readonly int[,] figures;
    private readonly IReadOnlyList<SKRect> faces;
    private readonly float diagonal;
    private readonly bool rightToLeft;
    private int tries;

    /// <param name="area">Where bubbles can be.</param>
    /// <param name="isFigure">Whether a cell of the grid (column, row) belongs to a figure.</param>
    /// <param name="faces">What no bubble covers.</param>
    /// <param name="rightToLeft">Whether bubbles are read from the right.</param>
    public BubblePlacer(SKRect area, Func<int, int, bool> isFigure, IReadOnlyList<SKRect> faces, bool rightToLeft = false)
    {
        (this.area, this.faces, this.rightToLeft) = (area, faces, rightToLeft);
        diagonal = MathF.Sqrt((area.Width * area.Width) + (area.Height * area.Height));
        figures = new int[Cells + 1, Cells + 1];
        for (var y = 0; y < Cells; y++)
        {
            for (var x = 0; x < Cells; x++)
            {
                figures[x + 1, y + 1] = figures[x, y + 1] + figures[x + 1, y] - figures[x, y] + (isFigure(x, y) ? 1 : 0);
            }
        }
    }

    /// <summary>How far from the area's edge bubbles stay.</summary>
    public float Margin => diagonal * MarginShare;

    /// <summary>How far from each other bubbles stay.</summary>
    public float Gap => diagonal * GapShare;

    /// <summary>Finds the places.</summary>
    /// <param name="bubbles">The bubbles, in reading order.</param>
    /// <returns>For each bubble its place, null where each would cover a face or another bubble.</returns>
    public IReadOnlyList<PlacedBubble?> Place(IReadOnlyList<Bubble> bubbles)
    {
        tries = 0;
        return PlaceAll(bubbles, []) ?? PlaceOneByOne(bubbles);
    }

    /// <summary>How many cells of figures a box covers, in part or in whole.</summary>
    public int Covered(SKRect box)
    {
        var (left, right) = Span(box.Left - area.Left, box.Right - area.Left, area.Width / Cells);
        var (top, bottom) = Span(box.Top - area.Top, box.Bottom - area.Top, area.Height / Cells);
        return figures[right, bottom] - figures[left, bottom] - figures[right, top] + figures[left, top];

        static (int First, int End) Span(float from, float to, float cell)
        {
            // A box that ends where a cell begins does not cover it.
            var slack = cell * 1e-3f;
            return (Math.Clamp((int)MathF.Floor((from + slack) / cell), 0, Cells),
                Math.Clamp((int)MathF.Ceiling((to - slack) / cell), 0, Cells));
        }
    }

    /// <summary>All bubbles in free places; null where that is not found.</summary>
    private PlacedBubble[]? PlaceAll(IReadOnlyList<Bubble> bubbles, PlacedBubble[] placed)
    {
        if (placed.Length == bubbles.Count)
        {
            return placed;
        }

        foreach (var place in Best(bubbles, placed, mayCover: false).Take(tries < Tries ? Alternatives : 1))
        {
            tries++;
            if (PlaceAll(bubbles, [.. placed, place]) is { } all)
            {
                return all;
            }
        }

        return null;
    }

    private PlacedBubble?[] PlaceOneByOne(IReadOnlyList<Bubble> bubbles)
    {
        var placed = new PlacedBubble?[bubbles.Count];
        for (var i = 0; i < bubbles.Count; i++)
        {
            PlacedBubble?[] before = placed[..i];
            placed[i] = Best(bubbles, before, mayCover: false).FirstOrDefault() ?? Best(bubbles, before, mayCover: true).FirstOrDefault();
        }

        return placed;
    }

    /// <summary>The best places for the next bubble, none close to another.</summary>
    private List<PlacedBubble> Best(IReadOnlyList<Bubble> bubbles, PlacedBubble?[] placed, bool mayCover)
    {
        var bubble = bubbles[placed.Length];
        var found = new List<(float Cost, PlacedBubble Place)>();
        foreach (var (s, size) in bubble.Sizes.Index())
        {
            var columns = Edges(
                area.Left, area.Width, size.Width, placed.Select(other => (other?.Box.Left, other?.Box.Right)),
                faces.Select(face => (face.Left, face.Right)));
            var rows = Edges(
                area.Top, area.Height, size.Height, placed.Select(other => (other?.Box.Top, other?.Box.Bottom)),
                faces.Select(face => (face.Top, face.Bottom)));
            foreach (var y in rows)
            {
                foreach (var x in columns)
                {
                    var box = SKRect.Create(x, y, size.Width, size.Height);
                    var covered = Covered(box);
                    if ((covered == 0 || mayCover) && !faces.Any(face => Overlap(face, box))
                        && !placed.Any(other => other is not null && Overlap(Grown(other.Box, Gap * 0.99f), box)))
                    {
                        found.Add((Cost(box, bubble, bubbles, placed) + (s * 0.08f) + (covered * 10f / (Cells * Cells)),
                            new PlacedBubble(box, s, covered == 0)));
                    }
                }
            }
        }

        // The cheapest of those that are left, and then none close to it; of equal ones the first.
        var best = new List<PlacedBubble>();
        while (found.Count > 0 && best.Count < Alternatives)
        {
            var (_, place) = found.MinBy(own => own.Cost);
            best.Add(place);
            found.RemoveAll(other => other.Place.Size == place.Size
                && Distance(Middle(other.Place.Box), Middle(place.Box)) <= place.Box.Height / 2);
        }

        return best;
    }

    /// <summary>The places in one direction where a box begins or ends at an edge.</summary>
    private float[] Edges(
        float start, float length, float size, IEnumerable<(float? From, float? To)> others, IEnumerable<(float From, float To)> fixedBoxes)
    {
        var (least, most) = (start + Margin, start + length - Margin - size);
        if (most < least)
        {
            return [];
        }

        var edges = new SortedSet<float> { least, most };
        for (var i = 0; i <= Cells; i++)
        {
            Add(start + (length * i / Cells));
            Add(start + (length * i / Cells) - size);
        }

        foreach (var (from, to) in others)
        {
            Add(to + Gap);
            Add(from - Gap - size);
        }

        foreach (var (from, to) in fixedBoxes)
        {
            Add(to);
            Add(from - size);
        }

        return [.. edges];

        void Add(float? edge)
        {
            if (edge >= least && edge <= most)
            {
                edges.Add(edge.Value);
            }
        }
    }

    /// <summary>How bad a place is: far from the speaker or too close, out of order, its tail across others.</summary>
    private float Cost(SKRect box, Bubble bubble, IReadOnlyList<Bubble> bubbles, PlacedBubble?[] placed)
    {
        var middle = Middle(box);
        var cost = (bubble.Speaker is null ? 0.8f : 0.25f) * (middle.Y - area.Top) / area.Height;
        if (bubble.Speaker is { } mouth)
        {
            cost += Distance(Nearest(box, mouth), mouth) / diagonal;
            cost += 0.5f * faces.Count(face => !face.Contains(mouth) && Crosses(face, middle, mouth));
        }

        // Below a face is mostly a body, of which masks often miss some. A tail needs some room.
        cost += faces.Sum(face => 0.8f * Shared(new SKRect(face.Left, face.Bottom, face.Right, area.Bottom), box));
        cost += faces.Sum(face => 6 * Math.Max(0, DistanceShare - (Between(face, box) / diagonal)));

        for (var i = 0; i < placed.Length; i++)
        {
            if (placed[i] is { } other)
            {
                cost += 2 * Math.Max(0, Order(Middle(other.Box)) - Order(middle));
                cost += bubble.Speaker is { } own && Crosses(other.Box, middle, own) ? 1 : 0;
                cost += bubbles[i].Speaker is { } theirs && Crosses(box, Middle(other.Box), theirs) ? 1 : 0;
            }
        }

        return cost;
    }

    /// <summary>When a bubble is read: from above, and across.</summary>
    private float Order(SKPoint point) => ((point.Y - area.Top) / area.Height)
        + (0.3f * (rightToLeft ? area.Right - point.X : point.X - area.Left) / area.Width);

    private static bool Overlap(SKRect first, SKRect second) =>
        first.Left < second.Right - 1e-3f && second.Left < first.Right - 1e-3f
            && first.Top < second.Bottom - 1e-3f && second.Top < first.Bottom - 1e-3f;

    private static SKRect Grown(SKRect box, float by) => new(box.Left - by, box.Top - by, box.Right + by, box.Bottom + by);

    /// <summary>The share of a box that is in another.</summary>
    private static float Shared(SKRect other, SKRect box) =>
        SKRect.Intersect(other, box) is { Width: > 0, Height: > 0 } both ? both.Width * both.Height / (box.Width * box.Height) : 0;

    private static float Between(SKRect first, SKRect second)
    {
        var x = Math.Max(0, Math.Max(first.Left - second.Right, second.Left - first.Right));
        var y = Math.Max(0, Math.Max(first.Top - second.Bottom, second.Top - first.Bottom));
        return MathF.Sqrt((x * x) + (y * y));
    }

    private static SKPoint Middle(SKRect box) => new(box.MidX, box.MidY);

    private static SKPoint Nearest(SKRect box, SKPoint point) =>
        new(Math.Clamp(point.X, box.Left, box.Right), Math.Clamp(point.Y, box.Top, box.Bottom));

    private static float Distance(SKPoint first, SKPoint second) => SKPoint.Distance(first, second);

    /// <summary>Whether the way between two points leads through a box.</summary>
    private static bool Crosses(SKRect box, SKPoint from, SKPoint to)
    {
        var (enters, leaves) = (0f, 1f);
        return Within(from.X, to.X - from.X, box.Left, box.Right) && Within(from.Y, to.Y - from.Y, box.Top, box.Bottom);

        // Cuts the way to what is between two sides.
        bool Within(float start, float way, float least, float most)
        {
            if (way == 0)
            {
                return start > least && start < most;
            }

            var (first, last) = ((least - start) / way, (most - start) / way);
            (enters, leaves) = (Math.Max(enters, Math.Min(first, last)), Math.Min(leaves, Math.Max(first, last)));
            return enters < leaves;
        }
    }
}
