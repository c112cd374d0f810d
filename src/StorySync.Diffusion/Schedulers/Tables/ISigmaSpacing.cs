namespace StorySync.Diffusion.Schedulers.Tables;

/// <summary>The entries of a config that choose how sigmas are spread.</summary>
internal interface ISigmaSpacing
{
    bool UseKarrasSigmas { get; }

    bool UseExponentialSigmas { get; }

    bool UseBetaSigmas { get; }
}
