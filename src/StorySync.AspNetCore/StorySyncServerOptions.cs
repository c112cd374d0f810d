using StorySync.Pipelines;

namespace StorySync.AspNetCore;

/// <summary>Specifies who may use the endpoints, and how much one request may ask for.</summary>
public sealed class StorySyncServerOptions
{
    /// <summary>Gets the keys, one of which a request names in <c>Authorization: Bearer …</c>. Empty (default): no key is needed, and only
    /// the machine itself is served, unless <see cref="AllowAnonymous"/> is set.</summary>
    public IList<string> ApiKeys { get; } = [];

    /// <summary>Gets or sets a value indicating whether other machines are served without keys. Default false. Set it where something else
    /// decides who may come, such as an authorization policy on the endpoints.</summary>
    public bool AllowAnonymous { get; set; }

    /// <summary>Gets or sets the number of requests a minute, other than GET, that a key may make, or an address where there are no keys;
    /// at least 1. Default 60.</summary>
    public int RequestsPerMinute { get; set; } = 60;

    /// <summary>Gets or sets the size of the largest request, in bytes. Default 32 MiB.</summary>
    public long MaxRequestBytes { get; set; } = 32 << 20;

    /// <summary>Gets or sets the size of the largest bank that can be uploaded, in bytes. Default 1 GiB.</summary>
    public long MaxBankBytes { get; set; } = 1 << 30;

    /// <summary>Gets or sets the largest number of pixels of an image, sent or asked for. Default 4,194,304 (2048 × 2048).</summary>
    public long MaxPixels { get; set; } = 2048 * 2048;

    /// <summary>Gets or sets the largest number of images of one request. Default 10.</summary>
    public int MaxImages { get; set; } = 10;

    /// <summary>Gets or sets the largest number of scenes of a story. Default 64.</summary>
    public int MaxScenes { get; set; } = 64;

    /// <summary>Gets or sets the largest number of <see cref="GenerationRequest.Steps"/>. Default 100.</summary>
    public int MaxSteps { get; set; } = 100;

    /// <summary>Gets or sets how long an image that was asked for as a <c>url</c> can be fetched, as long as there is room for it. Default
    /// 10 minutes.</summary>
    public TimeSpan ImageLifetime { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>Gets or sets the number of bytes of images that are kept for their addresses; the oldest are released first. Default
    /// 64 MiB.</summary>
    public long MaxKeptBytes { get; set; } = 64 << 20;
}
