using System.Buffers;

namespace StorySync.Samples;

/// <summary>Banks under a name: the folder where a user's characters are kept.</summary>
internal static class Characters
{
    public const string Extension = ".storybank";

    /// <summary>The variable that names another folder.</summary>
    public const string Variable = "STORYSYNC_CHARACTERS";

    /// <summary>What a file's name cannot have on one of the systems.</summary>
    private static readonly SearchValues<char> Forbidden = SearchValues.Create("/\\\0:*?\"<>|");

    /// <summary>The folder, which may be missing.</summary>
    public static string Folder => Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } given ? given : Path.Combine(
        Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.DoNotVerify),
        "storysync", "characters");

    /// <summary>The file of a character.</summary>
    /// <exception cref="UserErrorException">The name is none: it has a separator, or is a file's.</exception>
    public static string PathOf(string name) => IsName(name) ? Path.Combine(Folder, name + Extension) : throw new UserErrorException(
        $"The character is '{name}'; a name has no '/' and no '\\', and does not begin with a dot.");

    /// <summary>The file that a user means: one of that path, or else a character of that name.</summary>
    public static string Find(string pathOrName) =>
        !File.Exists(pathOrName) && IsName(pathOrName) && File.Exists(PathOf(pathOrName)) ? PathOf(pathOrName) : pathOrName;

    /// <summary>The names of the characters, in order.</summary>
    public static IReadOnlyList<string> Names => !Directory.Exists(Folder) ? [] :
    [
        .. Directory.EnumerateFiles(Folder, "*" + Extension).Select(path => Path.GetFileNameWithoutExtension(path)).Where(IsName)
            .Order(StringComparer.Ordinal),
    ];

    private static bool IsName(string name) => name.Length > 0 && name[0] != '.' && !name.AsSpan().ContainsAny(Forbidden);
}
