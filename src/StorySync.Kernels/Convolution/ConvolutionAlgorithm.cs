namespace StorySync.Kernels;

/// <summary>Specifies the ways to compute a convolution.</summary>
internal enum ConvolutionAlgorithm
{
    /// <summary>Minimal filtering.</summary>
    Winograd,

    /// <summary>A matrix product over the pixels.</summary>
    Pointwise,

    /// <summary>oneDNN with packed weights.</summary>
    OneDnn,
}
