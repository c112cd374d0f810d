using System.Text.Json;
using StorySync.Diffusion.Tokenizers;
using StorySync.TestSupport;

namespace StorySync.Diffusion.Tests.Tokenizers;

/// <summary>Weights in prompts; the expected pieces are those of a reference (<c>make_prompts.py</c> in <c>tests/Reference</c>).</summary>
public class PromptMarkupTests
{
    private static JsonElement Described { get; } =
        JsonDocument.Parse(File.ReadAllText(Path.Combine(ReferenceData.OwnRoot, "prompts", "prompts.json"))).RootElement;

    public static TheoryData<string> Cases() =>
    [
        .. Described.EnumerateArray().Where(c => c.GetProperty("pieces").ValueKind == JsonValueKind.Array)
            .Select(c => c.GetProperty("name").GetString()!),
    ];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Pieces_and_their_weights_are_those_of_the_reference(string name)
    {
        var described = Described.EnumerateArray().Single(described => described.GetProperty("name").GetString() == name);
        Assert.Equal(
            described.GetProperty("pieces").EnumerateArray()
                .Select(p => (p[0].GetString()!, Math.Round(p[1].GetDouble(), 12), p[2].GetBoolean())),
            PromptMarkup.Parse(described.GetProperty("prompt").GetString()!)
                .Select(p => (p.Text, Math.Round(p.Weight, 12), p.BeginsChunk)));
    }

    [Theory]
    [InlineData("a (fox:1.3)", true)]
    [InlineData("a (very red fox: .5 ) and more", true)]
    [InlineData("a fox (red) at 3:45 (see: here)", false)]
    [InlineData("", false)]
    public void Numbers_in_brackets_are_noticed(string text, bool expected) => Assert.Equal(expected, PromptMarkup.HasWeights(text));

    [Fact]
    public void Any_text_is_read_in_a_time_that_grows_with_its_length()
    {
        const int Length = 50_000;
        foreach (var part in (string[])["(a)", "[", ")", "]", ":", ": ", ":1", "\\", " BREAK", "   ", "\\(", "(a:1)", "a:b"])
        {
            var text = string.Concat(Enumerable.Repeat(part, part == "[" ? 99 : Length / part.Length));
            Assert.True(PromptMarkup.WordsOf(text).Length <= text.Length);
            Assert.Equal(part == "(a:1)", PromptMarkup.HasWeights(text));
        }
    }
}
