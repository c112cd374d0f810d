using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Calls oneDNN's packing operators through libtorch's dispatcher.</summary>
internal static unsafe class OneDnnCall
{
    /// <summary>Calls an operator; it takes over the arguments and leaves its result in place of the first.</summary>
    public static Tensor Pack(ReadOnlySpan<byte> name, nint* stack, Tensor weight)
    {
        fixed (byte* operation = name, overload = "\0"u8)
        {
            var error = OneDnnConvolution.Library!.CallDispatcher(operation, overload, stack);
            return OneDnnConvolution.Result(error, stack[0], weight, weight, null);
        }
    }

    public static nint Handle(Tensor tensor)
    {
        nint handle = 0;
        OneDnnConvolution.Library!.NewHandle(tensor.Handle, &handle);
        return handle;
    }

    public static nint List(long[] values)
    {
        nint list = 0;
        OneDnnConvolution.Library!.NewList((nuint)values.Length, &list);
        foreach (var value in values)
        {
            OneDnnConvolution.Library!.PushBack(list, (nint)value);
        }

        return list;
    }

    /// <summary>Creates an optional argument that is present. The operator frees the place in which it is passed.</summary>
    public static nint Some(nint value)
    {
        var place = (nint*)NativeMemory.Alloc((nuint)sizeof(nint));
        *place = value;
        return (nint)place;
    }
}
