using System.Numerics;
using System.Runtime.CompilerServices;
using StorySync.Attention.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Layers;

/// <summary>The gate of <see cref="Geglu"/>, in one pass. For float32 on the CPU.</summary>
internal static unsafe class GateKernel
{
    private const int BlockSize = 1 << 13;

    /// <summary>Whether <see cref="Apply"/> takes these.</summary>
    public static bool Takes(Tensor gate, Tensor value) =>
        Vector.IsHardwareAccelerated && TensorMemory.CanRead(gate) && TensorMemory.CanRead(value) && gate.is_contiguous() && value.is_contiguous();

    /// <summary><c>gelu(gate) · value</c>, in the place of the gate; exact GELU.</summary>
    /// <param name="gate">Any shape.</param>
    /// <param name="value">The same shape.</param>
    public static void Apply(Tensor gate, Tensor value)
    {
        var (first, second, count) = ((nint)TensorMemory.Address(gate), (nint)TensorMemory.Address(value), gate.numel());
        ThreadTeam.Run((int)((count + BlockSize - 1) / BlockSize), block =>
        {
            var start = (long)block * BlockSize;
            Multiply((float*)first + start, (float*)second + start, (int)Math.Min(BlockSize, count - start));
        });
        GC.KeepAlive(gate);
        GC.KeepAlive(value);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Multiply(float* gate, float* value, int count)
    {
        var at = 0;
        for (; at <= count - Vector<float>.Count; at += Vector<float>.Count)
        {
            (FloatMath.Gelu(Vector.Load(gate + at)) * Vector.Load(value + at)).Store(gate + at);
        }

        for (; at < count; at++)
        {
            gate[at] = FloatMath.Gelu(Vector.Create(gate[at]))[0] * value[at];
        }
    }
}
