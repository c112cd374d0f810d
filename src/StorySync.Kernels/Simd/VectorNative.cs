using System.Numerics;
using System.Runtime.CompilerServices;

namespace StorySync.Kernels;

/// <summary>As many elements as a <see cref="Vector{T}"/> holds: four or eight.</summary>
internal readonly unsafe struct VectorNative(Vector<float> value) : IFloatVector<VectorNative>
{
    private readonly Vector<float> value = value;

    public static int Count
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector<float>.Count;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static VectorNative Create(float value) => new(Vector.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static VectorNative Load(float* from) => new(Vector.Load(from));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static VectorNative Broadcast(float* from) => Create(*from);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void CheckRead(float* start, nint count)
    {
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void CheckWrite(float* start, nint count)
    {
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (VectorNative Left, VectorNative Right) LoadFloat16(ushort* from)
    {
        Vector.Widen(Vector.Load((short*)from), out var left, out var right);
        return (new(Float16(left)), new(Float16(right)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (VectorNative Left, VectorNative Right) LoadBFloat16(ushort* from)
    {
        Vector.Widen(Vector.Load(from), out var left, out var right);
        return (new(Vector.AsVectorSingle(left << 16)), new(Vector.AsVectorSingle(right << 16)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static VectorNative FusedMultiplyAdd(VectorNative a, VectorNative b, VectorNative c) =>
        new(Vector.FusedMultiplyAdd(a.value, b.value, c.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static VectorNative Max(VectorNative a, VectorNative b) => new(Vector.MaxNative(a.value, b.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static VectorNative Min(VectorNative a, VectorNative b) => new(Vector.MinNative(a.value, b.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static VectorNative Abs(VectorNative x) => new(Vector.Abs(x.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static VectorNative WhereLess(VectorNative x, float limit, VectorNative then, VectorNative otherwise) =>
        new(Vector.ConditionalSelect(Vector.LessThan(x.value, Vector.Create(limit)), then.value, otherwise.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static VectorNative ScaleByPowerOfTwo(VectorNative x, VectorNative exponent) =>
        new(Vector.AsVectorSingle(Vector.AsVectorInt32(x.value) + (Vector.AsVectorInt32(exponent.value) << 23)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static VectorNative operator +(VectorNative a, VectorNative b) => new(a.value + b.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static VectorNative operator -(VectorNative a, VectorNative b) => new(a.value - b.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static VectorNative operator -(VectorNative x) => new(-x.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static VectorNative operator *(VectorNative a, VectorNative b) => new(a.value * b.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static VectorNative operator /(VectorNative a, VectorNative b) => new(a.value / b.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* to) => value.Store(to);

    /// <summary>Converts float16 values whose representation is in the low bits, with the sign in the bits above.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<float> Float16(Vector<int> bits)
    {
        // The exponent is where float32 has it, but its offset is 15, not 127.
        const int Kept = unchecked((int)0x8FFFE000);
        const float Offset = 5.19229686e33f;
        return Vector.AsVectorSingle((bits << 13) & Vector.Create(Kept)) * Vector.Create(Offset);
    }
}
