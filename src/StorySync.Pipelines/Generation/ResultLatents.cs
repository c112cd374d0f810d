using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Holds the latents of a result until the result is disposed.</summary>
/// <param name="latents">The latents; null in a result that was read from JSON.</param>
internal sealed class ResultLatents(Tensor? latents) : IDisposable
{
    private bool disposed;

    /// <summary>Gets the latents.</summary>
    /// <param name="result">The result, which the exception names.</param>
    /// <exception cref="ObjectDisposedException">The result was disposed.</exception>
    /// <exception cref="InvalidOperationException">The result was read from JSON.</exception>
    public Tensor Of(object result)
    {
        ObjectDisposedException.ThrowIf(disposed, result);
        return latents ?? throw new InvalidOperationException("The result was read from JSON, which holds no latents.");
    }

    public void Dispose()
    {
        disposed = true;
        latents?.Dispose();
    }
}
