namespace StorySync.Attention;

/// <summary>The halves of a batch that classifier-free guidance joins.</summary>
public enum GuidanceHalf
{
    /// <summary>What the picture is to lead away from: the negative or the empty prompt.</summary>
    Negative,

    /// <summary>The prompt.</summary>
    Positive,
}
