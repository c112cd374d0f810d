using CsCheck;
using SkiaSharp;

namespace StorySync.Books.Tests;

public class BubblePlacerTests
{
    private const int Coarse = 12;

    /// <summary>Masks of few cells to nearly all, with faces and bubbles of any size.</summary>
    private static readonly Gen<(SKRect Area, bool[] Figures, SKRect[] Faces, Bubble[] Bubbles)> Images =
        from width in Gen.Float[80, 600]
        from height in Gen.Float[80, 600]
        from share in Gen.Double[0, 0.6]
        from cells in Gen.Double[0, 1].Array[Coarse * Coarse]
        from faces in Gen.Select(Gen.Float[0, 0.8f], Gen.Float[0, 0.8f], Gen.Float[0.05f, 0.3f], (x, y, side) =>
            SKRect.Create(30 + (x * width), 20 + (y * height), side * width, side * height)).Array[0, 2]
        from bubbles in Gen.Select(Gen.Float[0.05f, 0.6f], Gen.Float[0.05f, 0.5f], Gen.Bool, (w, h, speaks) => new Bubble(
            [new(w * width, h * height)], speaks ? new SKPoint(30 + (width / 2), 20 + (height / 3)) : null)).Array[1, 3]
        select (SKRect.Create(30, 20, width, height), cells.Select(cell => cell < share).ToArray(), faces, bubbles);

    [Fact]
    public void A_bubble_covers_no_face_and_no_bubble_and_nobody_where_any_place_is_free() => Images.Sample(
        image =>
        {
            var (area, figures, faces, bubbles) = image;
            var placer = PlacerOf(area, figures, faces);
            var places = placer.Place(bubbles);
            for (var i = 0; i < places.Count; i++)
            {
                SKRect[] earlier = [.. places.Take(i).OfType<PlacedBubble>().Select(place => place.Box)];
                if (places[i] is { } place)
                {
                    var inner = area;
                    inner.Inflate(-placer.Margin + 0.01f, -placer.Margin + 0.01f);
                    Assert.True(inner.Contains(place.Box), $"{place.Box} is not within {inner}");
                    Assert.All(faces.Concat(earlier), other => Assert.False(Overlap(other, place.Box), $"{other} and {place.Box}"));
                    Assert.Equal(place.IsFree, Cells(area, figures).All(cell => !Overlap(cell, place.Box)));
                }

                if (places[i] is not { IsFree: true })
                {
                    // No place on a grid finer than the figures' is free either.
                    var others = faces.Concat(earlier.Select(box => Grown(box, placer.Gap)));
                    Assert.Null(FreePlace(
                        area, bubbles[i].Sizes[0], placer.Margin, [.. others, .. places[i] is null ? [] : Cells(area, figures)]));
                }
            }
        },
        seed: "0000KOIXbGK8", iter: 60, threads: 1);

    [Fact]
    public void The_same_image_has_the_same_bubbles() => Images.Sample(
        image => Assert.Equal(
            PlacerOf(image.Area, image.Figures, image.Faces).Place(image.Bubbles),
            PlacerOf(image.Area, image.Figures, image.Faces).Place(image.Bubbles)),
        seed: "0000KOIXbGK8", iter: 20, threads: 1);

    [Fact]
    public void Bubbles_stand_in_reading_order_where_there_is_room()
    {
        foreach (var rightToLeft in (bool[])[false, true])
        {
            var area = SKRect.Create(0, 0, 400, 400);
            var placer = new BubblePlacer(area, (x, y) => x is > 18 and < 30 && y > 16, [SKRect.Create(150, 140, 100, 100)], rightToLeft);
            Bubble[] bubbles = [.. Enumerable.Range(0, 3).Select(_ => new Bubble([new(100, 40)], new SKPoint(200, 200)))];
            var places = placer.Place(bubbles);
            Assert.All(places, place => Assert.True(place!.IsFree));
            Assert.All(places.Zip(places.Skip(1)), pair => Assert.True(
                Reads(pair.First!.Box) <= Reads(pair.Second!.Box) + 1, $"{pair.First} {pair.Second}"));

            float Reads(SKRect box) => box.MidY + (0.3f * (rightToLeft ? 400 - box.MidX : box.MidX));
        }
    }

    /// <summary>The first greedy place of one bubble leaves none for the other, but there is room for both.</summary>
    [Fact]
    public void A_bubble_makes_room_for_the_next()
    {
        // A free band that has room for two bubbles next to each other, and not with the first in its middle.
        var area = SKRect.Create(0, 0, 480, 480);
        var placer = new BubblePlacer(area, (_, y) => y >= 10, [SKRect.Create(190, 200, 100, 200)]);
        var places = placer.Place(
            [new Bubble([new(200, 60)], new SKPoint(240, 300)), new Bubble([new(200, 60)], new SKPoint(240, 300))]);
        Assert.All(places, place => Assert.True(place!.IsFree));
    }

    [Fact]
    public void A_bubble_without_any_place_has_none()
    {
        var placer = new BubblePlacer(SKRect.Create(0, 0, 100, 100), (_, _) => true, [SKRect.Create(0, 0, 100, 100)]);
        Assert.Equal([null, null], placer.Place([new Bubble([new(20, 10)], null), new Bubble([new(200, 10)], null)]));
    }

    private static BubblePlacer PlacerOf(SKRect area, bool[] figures, SKRect[] faces)
    {
        const int Factor = BubblePlacer.Cells / Coarse;
        return new BubblePlacer(area, (x, y) => figures[(y / Factor * Coarse) + (x / Factor)], faces);
    }

    private static IEnumerable<SKRect> Cells(SKRect area, bool[] figures)
    {
        var (width, height) = (area.Width / Coarse, area.Height / Coarse);
        return Enumerable.Range(0, figures.Length).Where(i => figures[i])
            .Select(i => SKRect.Create(area.Left + (i % Coarse * width), area.Top + (i / Coarse * height), width, height));
    }

    private static SKPoint? FreePlace(SKRect area, SKSize size, float margin, SKRect[] others)
    {
        const int Steps = Coarse * 10;
        for (var y = 0; y <= Steps; y++)
        {
            for (var x = 0; x <= Steps; x++)
            {
                var box = SKRect.Create(
                    area.Left + (area.Width * x / Steps), area.Top + (area.Height * y / Steps), size.Width, size.Height);
                if (box.Left >= area.Left + margin && box.Top >= area.Top + margin && box.Right <= area.Right - margin
                    && box.Bottom <= area.Bottom - margin && !others.Any(other => Touch(other, box)))
                {
                    return box.Location;
                }
            }
        }

        return null;

        // What is free by a hair is not asked for.
        static bool Touch(SKRect first, SKRect second) => first.Left < second.Right + 0.05f && second.Left < first.Right + 0.05f
            && first.Top < second.Bottom + 0.05f && second.Top < first.Bottom + 0.05f;
    }

    private static bool Overlap(SKRect first, SKRect second) => first.Left < second.Right - 0.05f && second.Left < first.Right - 0.05f
        && first.Top < second.Bottom - 0.05f && second.Top < first.Bottom - 0.05f;

    private static SKRect Grown(SKRect box, float by) => new(box.Left - by, box.Top - by, box.Right + by, box.Bottom + by);
}
