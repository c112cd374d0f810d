using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>A tensor's elements, for kernels that compute on them.</summary>
internal static unsafe class TensorMemory
{
    private static readonly delegate* unmanaged<nint, nint*, int> DataPointer =
        (delegate* unmanaged<nint, nint*, int>)LibTorch.Entry("aoti_torch_get_data_ptr");

    /// <summary>Gets a value indicating whether libtorch tells addresses.</summary>
    public static bool IsAvailable => DataPointer != null;

    /// <summary>Returns a value indicating whether <see cref="Address"/> reaches the elements.</summary>
    public static bool CanRead(Tensor tensor) => IsAvailable && IsFloat32OnHost(tensor);

    /// <summary>Returns a value indicating whether a tensor is a contiguous vector that can be read, of a length, or there is
    /// none.</summary>
    public static bool IsVector(Tensor? tensor, long length) =>
        tensor is null || (CanRead(tensor) && tensor.dim() == 1 && tensor.size(0) == length && tensor.is_contiguous());

    /// <summary>Returns a value indicating whether a tensor is one of float32 in the processor's own memory.</summary>
    public static bool IsFloat32OnHost(Tensor tensor) =>
        tensor.dtype == ScalarType.Float32 && tensor.device_type == TorchSharp.DeviceType.CPU;

    /// <summary>Gets the bytes from the first to the last element, whatever the strides.</summary>
    public static nint Extent(Tensor tensor)
    {
        var (shape, strides, last) = (tensor.shape, tensor.stride(), 0L);
        for (var axis = 0; axis < shape.Length; axis++)
        {
            last += (shape[axis] - 1) * strides[axis];
        }

        return tensor.numel() == 0 ? 0 : (nint)((last + 1) * tensor.ElementSize);
    }

    /// <summary>Gets the address of the first element, valid until the tensor is disposed.</summary>
    /// <exception cref="ArgumentException">The tensor has no elements in memory.</exception>
    public static float* Address(Tensor tensor)
    {
        nint address = 0;
        return DataPointer(tensor.Handle, &address) == 0
            ? (float*)address
            : throw new ArgumentException($"A tensor ({string.Join(", ", tensor.shape)}) has no elements in memory.", nameof(tensor));
    }
}
