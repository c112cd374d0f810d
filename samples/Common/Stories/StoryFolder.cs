using System.Globalization;
using System.Text.RegularExpressions;

namespace StorySync.Samples;

/// <summary>The folder of a story that was drawn.</summary>
internal static partial class StoryFolder
{
    /// <summary>The images of the scenes, in order.</summary>
    /// <exception cref="UserErrorException">There is no such folder, or none in it.</exception>
    public static IReadOnlyList<string> Scenes(string folder)
    {
        if (!Directory.Exists(folder))
        {
            throw new UserErrorException($"There is no folder '{folder}'; one that `storysync story` wrote was expected.");
        }

        string[] scenes =
        [
            .. Directory.EnumerateFiles(folder).Select(path => (Path: path, Match: Scene().Match(Path.GetFileName(path))))
                .Where(file => file.Match.Success)
                .OrderBy(file => int.Parse(file.Match.Groups[1].ValueSpan, CultureInfo.InvariantCulture)).Select(file => file.Path),
        ];
        return scenes.Length > 0 ? scenes : throw new UserErrorException(
            $"There is no scene-1.png in '{folder}'; a folder that `storysync story` wrote was expected.");
    }

    /// <summary>The prompt in what an image says of itself; null for none.</summary>
    public static string? PromptIn(string? parameters) => parameters is null ? null : Prompt().Match(parameters) is { Success: true } match
        ? match.Groups[1].Value : null;

    [GeneratedRegex(@"^scene-(\d{1,7})\.png$")]
    private static partial Regex Scene();

    [GeneratedRegex(@"\A(.*?)\n(?:Negative prompt: |Steps: )", RegexOptions.Singleline)]
    private static partial Regex Prompt();
}
