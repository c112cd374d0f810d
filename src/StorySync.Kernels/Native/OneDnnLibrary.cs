
using unsafe ConvolutionEntry = delegate* unmanaged<
    nint, nint, nint*, long*, long, long*, long, long*, long, long, byte*, double**, long, byte**, nint*, int>;
using unsafe TransposedConvolutionEntry = delegate* unmanaged<
    nint, nint, nint*, long*, long, long*, long, long*, long, long*, long, long, byte*, double**, long, byte**, nint*, int>;

namespace StorySync.Kernels;

/// <summary>The entries of libtorch's C interface (<c>aoti_torch_…</c>, made for compiled models) that TorchSharp has no names for. A
/// tensor is passed as TorchSharp's own handle; a result is a new handle; other than 0 means that libtorch refused.</summary>
internal sealed unsafe class OneDnnLibrary
{
    private OneDnnLibrary()
    {
        nint Of(string name) => LibTorch.Entry(name) is var entry and not 0 ? entry : throw new EntryPointNotFoundException(name);
        Convolution = (ConvolutionEntry)
            Of("aoti_torch_cpu_mkldnn__convolution_pointwise");
        TransposedConvolution = (TransposedConvolutionEntry)
            Of("aoti_torch_cpu_mkldnn__convolution_transpose_pointwise");
        NewHandle = (delegate* unmanaged<nint, nint*, int>)Of("aoti_torch_new_tensor_handle");
        NewList = (delegate* unmanaged<nuint, nint*, int>)Of("torch_new_list_reserve_size");
        PushBack = (delegate* unmanaged<nint, nint, int>)Of("torch_list_push_back");
        CallDispatcher = (delegate* unmanaged<byte*, byte*, nint*, int>)Of("aoti_torch_call_dispatcher");
    }

    /// <summary>Input, weight, address of the bias or null; padding, stride and dilation, each with its count; groups; activation, its
    /// arguments, their count, address of its algorithm, result.</summary>
    public ConvolutionEntry Convolution { get; }

    /// <summary>As <see cref="Convolution"/>, with the padding of the output, and its count, after the padding.</summary>
    public TransposedConvolutionEntry TransposedConvolution { get; }

    /// <summary>Tensor, a second handle of it.</summary>
    public delegate* unmanaged<nint, nint*, int> NewHandle { get; }

    /// <summary>Capacity, the list.</summary>
    public delegate* unmanaged<nuint, nint*, int> NewList { get; }

    /// <summary>List, value.</summary>
    public delegate* unmanaged<nint, nint, int> PushBack { get; }

    /// <summary>Operator, overload, arguments: takes them over and leaves the results in their place.</summary>
    public delegate* unmanaged<byte*, byte*, nint*, int> CallDispatcher { get; }

    /// <summary>Returns the entries, or null where this libtorch is built without oneDNN (macOS).</summary>
    public static OneDnnLibrary? Load()
    {
        try
        {
            return OperatingSystem.IsMacOS() ? null : new OneDnnLibrary();
        }
        catch (EntryPointNotFoundException)
        {
            return null;
        }
    }
}
