using System.Runtime.InteropServices;

namespace StorySync.Pipelines;

/// <summary>Errors of libtorch's without the trace of its C++ code that they carry.</summary>
internal static class TorchError
{
    public static Exception Of(ExternalException exception)
    {
        var said = exception.Message.Split('\n')[0].Trim();
        Exception error = said.Contains("memory", StringComparison.OrdinalIgnoreCase)
            ? new InsufficientMemoryException($"The generation ran out of memory ({said}). PlanMemory tells what would need less.")
            : new InvalidOperationException($"libtorch refused an operation: {said}");
        error.Data["libtorch"] = exception.Message;
        return error;
    }
}
