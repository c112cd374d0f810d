using StorySync.Kernels;
using TorchSharp;
using static System.FormattableString;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests.Techniques;

/// <summary>Who reads what, worked out by hand. What is computed of it stands in <see cref="MethodReferenceTests"/> and
/// <see cref="Story.StoryAttentionTests"/>.</summary>
public class SubjectTokensTests
{
    private const int Text = 2;
    private const int Length = 6;

    // The first image has two tokens of the subject, the second one, the third none; text tokens are 0 and 1.
    private static readonly long[][] Labels = [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]];

    [Fact]
    public void A_subject_s_tokens_read_those_of_the_other_images()
    {
        using var tokens = Tokens();
        AssertReadings(
            [
                "0: 2 3 read 0[9]-0.69, own 2 3, words",
                "1: 3 read 0[2 3]-0.69, own 3, words",
            ],
            tokens.Readings(new(0.5, Background: false)));
        Assert.Equal([0, 1], tokens.ImagesOf(0));
        Assert.True(tokens.IsRead(0));
        Assert.Equal((3, 1, Text, Length), (tokens.Images, tokens.Subjects, tokens.TextTokens, tokens.Length));
    }

    [Fact]
    public void The_background_of_an_image_reads_every_subject_that_the_image_takes_part_in()
    {
        // The last image has none of the subject's tokens and reads it all the same.
        using var tokens = Tokens();
        AssertReadings(
            [
                "0: 2 3 read 0[9]0, own 2 3, words",
                "0: 4 5 read -1[9]0, own 2 3, words",
                "1: 3 read 0[2 3]0, own 3, words",
                "1: 2 4 5 read -1[2 3]0, own 3, words",
                "2: 2 3 4 5 read -1[2 3 9]0, own , words",
            ],
            tokens.Readings(new(1, Background: true)));
        using var absent = Tokens(present: (image, _) => image != 2);
        Assert.DoesNotContain(absent.Readings(new(1, Background: true)), reading => reading.Image == 2);
    }

    [Fact]
    public void The_background_reads_one_subject_where_nobody_else_has_the_other()
    {
        using var tokens = new SubjectTokens([[1, 2, 0], [1, 0, 0]], 2, null, 0, CPU);
        AssertReadings(
            [
                "0: 0 read 0[3]0, own 0, words",
                "0: 2 read -1[3]0, own 0 1, words",
                "1: 0 read 0[0]0, own 0, words",
                "1: 1 2 read -1[0 1]0, own 0, words",
            ],
            tokens.Readings(new(1, Background: true)));
    }

    [Fact]
    public void Masks_and_labels_are_two_dimensional()
    {
        using var scope = NewDisposeScope();
        var masks = Assert.Throws<ArgumentException>("masks", () => SubjectTokens.FromMasks(ones(3, 5), [true, false]));
        Assert.StartsWith(
            "Masks of shape (images, tokens), and one 'present' per image, are needed; the masks have shape (3, 5) and there are 2 "
                + "'present'.",
            masks.Message, StringComparison.Ordinal);
        var labels = Assert.Throws<ArgumentException>(() => SubjectTokens.FromLabels(ones(3, 5, 1), 1));
        Assert.Contains("the masks have shape (3, 5, 1).", labels.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_is_read_of_a_subject_where_its_strength_is_0()
    {
        using var tokens = Tokens(locations: ["wood", null, "wood"]);
        AssertReadings(
            [
                "0: 4 5 read 1[14 15 16 17]-0.69, own 4 5, words",
                "2: 2 3 4 5 read 1[4 5]-0.69, own 2 3 4 5, words",
            ],
            tokens.Readings(new(0, Background: true, LocationStrength: 0.5)));
    }

    [Fact]
    public void Images_of_a_location_read_each_other_s_background_after_their_subjects()
    {
        using var tokens = Tokens(locations: ["wood", "wood", "sea"]);
        AssertReadings(
            [
                "0: 2 3 read 0[9]0, own 2 3, words",
                "0: 4 5 read -1[9]0 1[8 10 11]-0.69, own 2 3 4 5, words",
                "1: 3 read 0[2 3]0, own 3, words",
                "1: 2 4 5 read -1[2 3]0 1[4 5]-0.69, own 3 2 4 5, words",
                "2: 2 3 4 5 read -1[2 3 9]0, own , words",
            ],
            tokens.Readings(new(1, Background: true, LocationStrength: 0.5)));
        AssertReadings(
            ["0: 4 5 read 1[8 10 11]0, own 4 5, words", "1: 2 4 5 read 1[4 5]0, own 2 4 5, words"],
            tokens.Readings(new(0, Background: false, LocationStrength: 1)));
        Assert.Empty(tokens.Readings(new(0, Background: true)));
        Assert.True(tokens.IsRead(tokens.Location));
    }

    [Fact]
    public void A_location_is_shared_by_images_that_take_no_part_in_a_subject()
    {
        // Of an absent subject nothing is left: its tokens are background.
        using var tokens = Tokens(present: (_, _) => false, locations: ["wood", "wood", null]);
        AssertReadings(
            ["0: 2 3 4 5 read 1[8 9 10 11]0, own 2 3 4 5, words", "1: 2 3 4 5 read 1[2 3 4 5]0, own 2 3 4 5, words"],
            tokens.Readings(new(1, Background: true, LocationStrength: 1)));
        Assert.False(tokens.IsRead(0));
    }

    [Fact]
    public void A_location_is_read_where_images_are_read()
    {
        using var tokens = Tokens(reads: (image, other) => other == 0, locations: ["wood", "wood", "wood"]);
        AssertReadings(
            ["1: 2 4 5 read 1[4 5]0, own 2 4 5, words", "2: 2 3 4 5 read 1[4 5]0, own 2 3 4 5, words"],
            tokens.Readings(new(0, Background: false, LocationStrength: 1)));
        Assert.True(tokens.Reads(1, 0, tokens.Location));
        Assert.False(tokens.Reads(0, 0, tokens.Location));
        Assert.False(tokens.Reads(1, 2, tokens.Location));
    }

    [Fact]
    public void Images_that_are_all_subject_have_no_background_to_read_or_to_read_by()
    {
        using var tokens = new SubjectTokens([[1, 1], [1, 0], [0, 0]], 1, null, 0, CPU, locations: ["wood", "wood", "wood"]);
        AssertReadings(
            ["1: 1 read 1[4 5]0, own 1, words", "2: 0 1 read 1[3]0, own 0 1, words"],
            tokens.Readings(new(0, Background: false, LocationStrength: 1)));
        AssertReadings(
            [
                "0: 0 1 read 0[2]0, own 0 1, words",
                "1: 0 read 0[0 1]0, own 0, words",
                "1: 1 read -1[0 1]0, own 0, words",
                "2: 0 1 read -1[0 1 2]0, own , words",
            ],
            tokens.Readings(new(1, Background: true)));
    }

    [Fact]
    public void Labels_of_no_subject_are_background()
    {
        using var tokens = new SubjectTokens([[-1, 2, 1, 0], [1, 2, 7, 0]], 1, null, 0, CPU, locations: ["wood", "wood"]);
        Assert.Equal([2], tokens.Of(0, 0));
        Assert.Equal([0, 1, 3], tokens.Of(0, tokens.Location));
        Assert.Equal([1, 2, 3], tokens.Of(1, tokens.Location));
        using var nowhere = new SubjectTokens([[1, 0]], 1, null, 0, CPU);
        Assert.Empty(nowhere.Of(0, nowhere.Location));
    }

    [Fact]
    public void Queries_are_placed_within_what_they_read()
    {
        using var tokens = Tokens(placed: Placed);
        AssertReadings(
            [
                "0: 2 read 0[9]0, own 2 3, words",
                "0: 3 read 0[9]0, own 2 3, words 0:-1.5",
                "0: 4 read , own , words 0:-1.5",
                "0: 5 read , own , words 0:-1.5 1:-2",
                "1: 3 read 0[2 3]0, own 3, words 1:-1",
                "1: 2 read , own , words 1:-1",
            ],
            tokens.Readings(new(1, Background: false, Placed: true)));

        // The same tokens are not placed in the negative half.
        AssertReadings(
            ["0: 2 3 read 0[9]0, own 2 3, words", "1: 3 read 0[2 3]0, own 3, words"],
            tokens.Readings(new(1, Background: false)));
    }

    [Fact]
    public void Groups_are_all_tokens_each_once()
    {
        using var tokens = Tokens(placed: Placed);
        Assert.Equal(
            [
                "0: 2 read [9]-0.69, bias none",
                "0: 3 read [9]-0.69, bias -1.5 0 0 0 0 0",
                "0: 4 read , bias -1.5 0 0 0 0 0",
                "0: 5 read , bias -1.5 -2 0 0 0 0",
                "0: 0 1 read , bias none",
                "1: 3 read [2 3]-0.69, bias 0 -1 0 0 0 0",
                "1: 2 read , bias 0 -1 0 0 0 0",
                "1: 0 1 4 5 read , bias none",
                "2: 0 1 2 3 4 5 read , bias none",
            ],
            tokens.Groups(new(0.5, Background: false, Placed: true)).Select(Describe));
    }

    [Fact]
    public void A_word_of_two_subjects_is_lowered_for_both()
    {
        using var tokens = Tokens();
        var group = tokens.GroupOf(new(1, [2], [], [], [new(1, -1), new(0, -0.5), new(1, -2)]));
        Assert.Equal("1: 2 read , bias -0.5 -3 0 0 0 0", Describe(group));
    }

    [Fact]
    public void What_was_asked_for_once_is_kept()
    {
        using var tokens = Tokens(placed: Placed);
        var sharing = new Sharing(1, Background: true, LocationStrength: 0, Placed: true);
        Assert.Same(tokens.Readings(sharing), tokens.Readings(sharing));
        Assert.Same(tokens.Groups(sharing), tokens.Groups(sharing));
        Assert.NotSame(tokens.Groups(sharing), tokens.Groups(sharing with { Placed = false }));

        var made = 0;
        var kept = tokens.Indices("a", Make);
        Assert.Same(kept, tokens.Indices("a", Make));
        Assert.NotSame(kept, tokens.Indices("b", Make));
        Assert.Equal(2, made);
        tokens.Dispose();
        Assert.True(kept.IsInvalid);
        Assert.NotSame(kept, tokens.Indices("a", Make));

        Tensor Make(Device device)
        {
            made++;
            return zeros(1, device: device);
        }
    }

    [Fact]
    public void Repeats_are_whole_and_have_all_tokens()
    {
        using var scope = NewDisposeScope();
        using var tokens = Tokens();
        Assert.Equal(2, tokens.RepeatsIn(zeros(6, 1, Length, 4), tokenAxis: 2, "query"));
        Assert.Equal(1, tokens.RepeatsIn(zeros(3, Length, 4), tokenAxis: 1, "hidden"));
        var rows = Assert.Throws<ArgumentException>("query", () => tokens.RepeatsIn(zeros(4, 1, Length, 4), tokenAxis: 2, "query"));
        Assert.Contains("3 images with 6 tokens, but 'query' has 4 rows (a multiple of 3 is needed) with 6", rows.Message,
            StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("hidden", () => tokens.RepeatsIn(zeros(6, Length + 1, 4), tokenAxis: 1, "hidden"));
    }

    private static IReadOnlyList<IReadOnlyList<PlacedQueries>> Placed =>
    [
        [new([3, 4], [new(0, -1.5)]), new([5], [new(0, -1.5), new(1, -2)])],
        [new([2, 3], [new(1, -1)])],
        [],
    ];

    private static SubjectTokens Tokens(
        Func<int, int, bool>? present = null, Func<int, int, bool>? reads = null, IReadOnlyList<string?>? locations = null,
        IReadOnlyList<IReadOnlyList<PlacedQueries>>? placed = null) =>
        new(Labels, 1, present, Text, CPU, reads, locations, placed);

    private static void AssertReadings(string[] expected, IReadOnlyList<Reading> actual) => Assert.Equal(expected, actual.Select(Describe));

    private static string Describe(Reading reading) =>
        $"{reading.Image}: {Join(reading.Queries)} read "
        + Join(reading.CrossImage.Select(part => Invariant($"{part.Subject}[{Join(part.Tokens)}]{part.Bias:0.##}")))
        + $", own {Join(reading.Own)}, words"
        + string.Concat(reading.Words.Select(word => Invariant($" {word.Token}:{word.Bias}")));

    private static string Describe(TokenGroup group) =>
        $"{group.Image}: {Join(group.Queries)} read "
        + Join(group.CrossImage.Select(part => Invariant($"[{Join(part.Tokens)}]{part.Bias:0.##}")))
        + $", bias {(group.Bias is null ? "none" : Join(group.Bias.Select(value => Invariant($"{value}"))))}";

    private static string Join<T>(IEnumerable<T> parts) => string.Join(' ', parts);
}
