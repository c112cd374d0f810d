namespace StorySync.Pipelines;

/// <summary>The batch that a denoiser gets.</summary>
/// <param name="Rows">Rows: scenes, times two with guidance or an unmodified branch.</param>
/// <param name="Height">Height of the images in pixels.</param>
/// <param name="Width">Width of the images in pixels.</param>
/// <param name="HasBase">Whether an unmodified branch runs along.</param>
/// <param name="Shares">Whether the images share attention.</param>
/// <param name="UsesCpuKernels">Whether the CPU computes in float32, by kernels that fuse layers with what follows them.</param>
internal sealed record DenoiserBatch(long Rows, int Height, int Width, bool HasBase, bool Shares, bool UsesCpuKernels);
