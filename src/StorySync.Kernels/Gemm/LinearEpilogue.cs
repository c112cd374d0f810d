namespace StorySync.Kernels;

/// <summary>Specifies the epilogue fused into a linear layer.</summary>
internal enum LinearEpilogue
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>The tanh approximation of GELU.</summary>
    GeluTanh,

    /// <summary>The first half of the outputs, multiplied with the exact GELU of the second.</summary>
    Geglu,
}
