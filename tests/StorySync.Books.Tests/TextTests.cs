using CsCheck;

namespace StorySync.Books.Tests;

public class TextTests
{
    /// <summary>The examples of UAX #9, rule L2, whose capitals are letters from the right.</summary>
    [Theory]
    [InlineData("car means CAR.", false, "car means RAC.")]
    [InlineData("car MEANS CAR.", true, ".RAC SNAEM car")]
    [InlineData("car", true, "car")]
    [InlineData("CAR 12 TREE", true, "EERT 12 RAC")]
    [InlineData("CAR 3.5, TREE", true, "EERT ,3.5 RAC")]
    [InlineData("a CAR 10:30 b", false, "a 10:30 RAC b")]
    [InlineData("(CAR) a", false, "(RAC) a")]
    [InlineData("no 12 CAR", false, "no 12 RAC")]
    [InlineData("", true, "")]
    public void Letters_from_the_right_are_turned_round(string stored, bool rightToLeft, string shown)
    {
        var line = string.Concat(stored.Select(letter => char.IsAsciiLetterUpper(letter) ? (char)('א' + letter - 'A') : letter));
        var visual = string.Concat(Bidi.Parts(line, rightToLeft).Select(part => part.RightToLeft
            ? string.Concat(line.Substring(part.Start, part.Length).Reverse()) : line.Substring(part.Start, part.Length)));
        Assert.Equal(shown, string.Concat(visual.Select(letter => letter >= 'א' ? (char)('A' + letter - 'א') : letter)));
    }

    [Fact]
    public void Parts_are_the_whole_line() => Gen.OneOf(Gen.Char[' ', '~'], Gen.Char['א', 'ת'], Gen.Char['\u0300', '\u0310']).Array[0, 30]
        .Select(letters => new string(letters)).Sample(
            line => line == string.Concat(Bidi.Parts(line, false).OrderBy(part => part.Start)
                .Select(part => line.Substring(part.Start, part.Length))),
            seed: "0000KOIXbGK8", iter: 300);

    [Theory]
    [InlineData("Hello", true, false)]
    [InlineData("12 שלום", false, true)]
    [InlineData("…", true, true)]
    [InlineData("", false, false)]
    public void A_text_begins_where_its_first_letter_does(string text, bool otherwise, bool rightToLeft) =>
        Assert.Equal(rightToLeft, Bidi.IsRightToLeft(text, otherwise));

    [Fact]
    public void Lines_are_within_the_width_and_hold_all_words() => Gen.Select(
        Gen.Char['a', 'z'].Array[1, 14].Select(own => new string(own)).Array[1, 30], Gen.Float[20, 300]).Sample(
        (words, width) =>
        {
            using var fonts = new BookFonts();
            var block = new TextSetter(fonts, false).Set(string.Join(' ', words), 10, width);
            Assert.All(block.Lines, line => Assert.InRange(line.Width, 0, width + 1));
            Assert.Equal(
                string.Concat(words),
                string.Concat(block.Lines.Select(line => line.Text)).Replace(" ", "", StringComparison.Ordinal));
        },
        seed: "0000KOIXbGK8", iter: 40, threads: 1);

    [Fact]
    public void Glyphs_are_shaped()
    {
        using var fonts = new BookFonts();
        var setter = new TextSetter(fonts, false);

        // The embedded font moves these letters together.
        Assert.True(Width("AVAVAV") < (3 * Width("A")) + (3 * Width("V")) - 1);

        float Width(string text) => setter.Set(text, 20, 1000).Width;
    }

    [Fact]
    public void Arabic_letters_join()
    {
        using var fonts = new BookFonts();
        fonts.For('م');
        Assert.SkipUnless(HasAll(fonts), "No font of this system has Arabic letters.");
        var setter = new TextSetter(fonts, false);
        var (alone, joined) = (Glyphs("م"), Glyphs("ممم"));

        // In the middle of a word the letter has another form than alone.
        Assert.DoesNotContain(alone[0], joined);
        Assert.True(setter.Set("مرحبا", 10, 1000).Lines[0].RightToLeft);

        ushort[] Glyphs(string text) => [.. setter.Set(text, 10, 1000).Lines[0].Runs.SelectMany(run => run.Glyphs)];

        static bool HasAll(BookFonts fonts)
        {
            try
            {
                fonts.CheckAll();
                return true;
            }
            catch (InvalidOperationException)
            {
                return false;
            }
        }
    }

    [Fact]
    public void A_character_without_a_font_is_named()
    {
        // A private one, which no font has.
        var book = TestBook.Of(1).With(panel => panel with { Caption = "\U0010FFFD!" });
        Assert.Contains("U+10FFFD", Assert.Throws<InvalidOperationException>(() => book.ToBytes(BookFormat.Pdf)).Message);
        Assert.NotEmpty(book.ToBytes(BookFormat.Html));
    }
}
