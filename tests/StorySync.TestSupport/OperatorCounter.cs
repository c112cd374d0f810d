using System.Runtime.InteropServices;
using TorchSharp;

namespace StorySync.TestSupport;

/// <summary>Counts the operators that libtorch runs on this thread while it is not disposed, as its profiler sees them: what on a device
/// would be launches.</summary>
/// <remarks>Counted is an operator that runs no other that computes. Views and memory are no work. Numbers that the host reads where they
/// lie (<c>item</c>, <c>data</c>) are no operators on the CPU. Uses libtorch's C++ interface (<c>at::addThreadLocalCallback</c>), by the
/// calling convention of x64 outside Windows.</remarks>
public sealed class OperatorCounter : IDisposable
{
    // What a device does without a launch.
    private static readonly HashSet<string> Free =
    [
        .. ((string[])[
            "empty", "empty_like", "empty_strided", "_efficientzerotensor", "new_empty", "new_empty_strided", "resize_", "set_",
            "view", "_unsafe_view", "reshape", "_reshape_alias", "as_strided", "transpose", "t", "permute", "select", "slice",
            "narrow", "expand", "expand_as", "unsqueeze", "unsqueeze_", "squeeze", "squeeze_", "flatten", "unflatten", "split",
            "split_with_sizes", "unsafe_split", "chunk", "unbind", "detach", "detach_", "alias", "lift_fresh", "lift",
            "view_as_complex", "view_as_real", "conj", "_conj", "resolve_conj", "resolve_neg", "real", "imag", "diagonal",
            "as_strided_", "unfold", "movedim", "swapaxes", "numpy_T", "pin_memory", "is_pinned", "_pin_memory", "to", "contiguous",
            "result_type", "can_cast", "is_same_size", "size", "stride", "item",
        ]).Select(name => "aten::" + name),
    ];

    // What makes the host wait for a device: it needs numbers, or how many there are of them.
    private static readonly HashSet<string> Waiting =
    [
        .. ((string[])["_local_scalar_dense", "nonzero", "nonzero_numpy", "masked_select", "is_nonzero", "equal", "unique", "_unique",
            "_unique2", "unique_dim", "unique_consecutive", "repeat_interleave", "bincount", "histc", "allclose", "argwhere"])
            .Select(name => "aten::" + name),
    ];

    private readonly ulong handle;
    private readonly Start start;
    private readonly End end;
    private readonly Stack<(string Name, bool Computes)> open = [];
    private readonly List<string> launched = [];
    private readonly List<string> waited = [];

    /// <summary>Initializes a new instance of the <see cref="OperatorCounter"/> class, which counts from here on.</summary>
    public OperatorCounter()
    {
        Assert.SkipUnless(
            IsSupported, "Operators are counted through libtorch's C++ interface on x64, outside Windows.");
        torch.empty(0).Dispose();
        (start, end) = (Begin, Finish);
        handle = AddCallback(new Callback(
            Marshal.GetFunctionPointerForDelegate(start), Marshal.GetFunctionPointerForDelegate(end), Probability: 1, Scopes: 1, More: 0));
    }

    private delegate nint Start(nint result, nint function);

    private delegate void End(nint function, nint context);

    /// <summary>Gets a value indicating whether operators can be counted here.</summary>
    public static bool IsSupported => RuntimeInformation.ProcessArchitecture == Architecture.X64 && !OperatingSystem.IsWindows();

    /// <summary>Gets how many operators have computed something.</summary>
    public int Launches => launched.Count;

    /// <summary>Gets how often the host has waited for numbers.</summary>
    public int Waits => waited.Count;

    /// <summary>Takes what was counted since the last time.</summary>
    public (IReadOnlyList<string> Launched, IReadOnlyList<string> Waited) Take()
    {
        (IReadOnlyList<string>, IReadOnlyList<string>) taken = ([.. launched], [.. waited]);
        launched.Clear();
        waited.Clear();
        return taken;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        RemoveCallback(handle);
        GC.KeepAlive(start);
        GC.KeepAlive(end);
    }

    [DllImport("torch_cpu", EntryPoint = "_ZN2at22addThreadLocalCallbackENS_22RecordFunctionCallbackE")]
    private static extern ulong AddCallback(Callback callback);

    [DllImport("torch_cpu", EntryPoint = "_ZN2at14removeCallbackEm")]
    private static extern void RemoveCallback(ulong handle);

    [DllImport("torch_cpu", EntryPoint = "_ZNK2at14RecordFunction4nameEv")]
    private static extern nint NameOf(nint function);

    private nint Begin(nint result, nint function)
    {
        open.Push((Marshal.PtrToStringUTF8(NameOf(function))!, false));

        // No context of its own.
        Marshal.WriteIntPtr(result, 0);
        return result;
    }

    private void Finish(nint function, nint context)
    {
        if (!open.TryPop(out var done))
        {
            return;
        }

        if (Waiting.Contains(done.Name))
        {
            waited.Add(done.Name);
        }

        var works = done.Computes || !Free.Contains(done.Name);
        if (works && !done.Computes)
        {
            launched.Add(done.Name);
        }

        if (works && open.TryPop(out var outer))
        {
            open.Push(outer with { Computes = true });
        }
    }

    /// <summary>libtorch's <c>at::RecordFunctionCallback</c>.</summary>
    /// <param name="Start">Called before each operator.</param>
    /// <param name="End">Called after each operator.</param>
    /// <param name="Probability">How many of the calls are counted.</param>
    /// <param name="Scopes">A byte for each of the first scopes, the lowest for operators.</param>
    /// <param name="More">The other scopes, and what is wanted to be known of an operator.</param>
    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Callback(nint Start, nint End, double Probability, ulong Scopes, ulong More);
}
