using System.Text;

namespace StorySync.Diffusion.Tokenizers;

internal static class Whitespace
{
    /// <summary>Replaces every run of Unicode white space by one space.</summary>
    public static string Collapse(string text)
    {
        var result = new StringBuilder(text.Length);
        bool inRun = false;
        foreach (char c in text)
        {
            bool white = char.IsWhiteSpace(c);
            if (!white)
            {
                result.Append(c);
            }
            else if (!inRun)
            {
                result.Append(' ');
            }

            inRun = white;
        }
        return result.ToString();
    }
}
