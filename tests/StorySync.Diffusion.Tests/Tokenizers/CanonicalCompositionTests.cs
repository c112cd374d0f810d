using System.Text;
using CsCheck;
using StorySync.Diffusion.Tokenizers;

namespace StorySync.Diffusion.Tests.Tokenizers;

/// <summary>Examples of UAX #15 and of NormalizationTest.txt.</summary>
public class CanonicalCompositionTests
{
    [Theory]
    [InlineData("caf\u00e9", "caf\u00e9")]
    [InlineData("cafe\u0301", "caf\u00e9")]
    [InlineData("\u212b", "\u00c5")]
    [InlineData("\u2126", "\u03a9")]
    [InlineData("s\u0323\u0307", "\u1e69")]
    [InlineData("s\u0307\u0323", "\u1e69")]
    [InlineData("\u1e9b\u0323", "\u1e9b\u0323")]
    [InlineData("\u1e0b\u0323", "\u1e0d\u0307")]
    [InlineData("\u0915\u093c", "\u0915\u093c")]
    [InlineData("\u0958", "\u0915\u093c")]
    [InlineData("\u1100\u1161", "\uac00")]
    [InlineData("\u1100\u1161\u11a8", "\uac01")]
    [InlineData("\uac00\u11a8", "\uac01")]
    [InlineData("\uac01\u11a8", "\uac01\u11a8")]
    [InlineData("\u0344", "\u0308\u0301")]
    [InlineData("\u0301\u0327a", "\u0327\u0301a")]
    [InlineData("a\u0327\u0301\u0301", "\u00e1\u0327\u0301")]
    [InlineData("\uf900", "\u8c48")]
    [InlineData("\U0001D15E", "\U0001D157\U0001D165")]
    [InlineData("\U00011099\U000110BA", "\U0001109A")]
    [InlineData("\ufb01", "\ufb01")]
    public void Known_examples(string text, string composed) => Assert.Equal(composed, CanonicalComposition.Compose(text));

    [Fact]
    public void Composing_again_changes_nothing() =>
        Gen.Int[0, 0x2FFF].Where(c => !char.IsSurrogate((char)c)).Array[0, 12].Sample(codes =>
        {
            string once = CanonicalComposition.Compose(string.Concat(codes.Select(c => new Rune(c).ToString())));
            Assert.Equal(once, CanonicalComposition.Compose(once));
        });
}
