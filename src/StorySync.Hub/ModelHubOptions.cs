using System.Text.Json.Serialization;
using StorySync.Diffusion.Weights;

namespace StorySync.Hub;

/// <summary>Specifies where models are downloaded from and to, and how. Defaults come from the environment variables of Hugging Face's
/// libraries, when an instance is created.</summary>
public sealed record ModelHubOptions
{
    private static readonly string[] Yes = ["1", "ON", "YES", "TRUE"];

    /// <summary>Initializes a new instance of the <see cref="ModelHubOptions"/> class from the environment variables.</summary>
    public ModelHubOptions()
        : this(Environment.GetEnvironmentVariable)
    {
    }

    internal ModelHubOptions(Func<string, string?> environment)
    {
        Endpoint = new Uri(Value("HF_ENDPOINT")?.TrimEnd('/') ?? "https://huggingface.co", UriKind.Absolute);
        CacheFolder = HubCache.RootOf(environment);
        IsOffline = Yes.Contains(Value("HF_HUB_OFFLINE")?.ToUpperInvariant());
        var home = Value("HF_HOME") ?? Path.GetDirectoryName(HubCache.RootOf(name => name == "HF_HUB_CACHE" ? null : environment(name)))!;
        var file = Value("HF_TOKEN_PATH") ?? Path.Combine(home, "token");
        Token = Value("HF_TOKEN") ?? (File.Exists(file) && File.ReadAllText(file).Trim() is { Length: > 0 } kept ? kept : null);

        string? Value(string name) => environment(name) is { Length: > 0 } value ? value : null;
    }

    /// <summary>Gets the server: <c>HF_ENDPOINT</c>, or else Hugging Face's.</summary>
    public Uri Endpoint { get; init; }

    /// <summary>Gets the token to authenticate with, which is sent to <see cref="Endpoint"/> alone: <c>HF_TOKEN</c>, or else that of the
    /// file where <c>hf auth login</c> stores it; null for none. JSON can give it, and never shows it.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWriting)]
    public string? Token { get; init; }

    /// <summary>Gets the cache folder: <c>HF_HUB_CACHE</c>, or else <c>hub</c> in <c>HF_HOME</c> or in the user's cache folder.</summary>
    public string CacheFolder { get; init; }

    /// <summary>Gets a value indicating whether nothing is asked of the server: <c>HF_HUB_OFFLINE</c>. A model that is in the cache is then
    /// taken as it is there.</summary>
    public bool IsOffline { get; init; }

    /// <summary>Gets how many files are downloaded at the same time, at least 1. Default 4.</summary>
    public int MaxParallelFiles
    {
        get;
        init
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            field = value;
        }
    } = 4;

    /// <summary>Gets how often a request is made again that the server did not answer, or answered by 408, 429 or 5xx; and how often in
    /// succession a file's download is taken up again without having got on. At least 1; default 5.</summary>
    public int Retries
    {
        get;
        init
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 1);
            field = value;
        }
    } = 5;

    /// <summary>Gets the pause before the first repetition, which doubles with each further one, unless the server asks for another.
    /// Default one second.</summary>
    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Gets how long nothing may arrive before a connection counts as broken. Default one minute.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Gets the free bytes of the disk that a folder is on.</summary>
    internal Func<string, long> FreeBytes { get; init; } = folder => new DriveInfo(Path.GetFullPath(folder)).AvailableFreeSpace;

    /// <summary>Gets what makes a link to a file.</summary>
    internal Action<string, string> Link { get; init; } = (path, target) => File.CreateSymbolicLink(path, target);

    /// <inheritdoc/>
    public override string ToString() => $"{Endpoint} → {CacheFolder}{(Token is null ? "" : ", with a token")}";
}
