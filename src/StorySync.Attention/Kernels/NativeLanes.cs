using System.Numerics;
using System.Runtime.CompilerServices;

namespace StorySync.Attention.Kernels;

/// <summary>As many numbers as a <see cref="Vector{T}"/> holds: four or eight.</summary>
internal readonly unsafe struct NativeLanes(Vector<float> value) : ILanes<NativeLanes>
{
    private readonly Vector<float> value = value;

    public static int Count
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector<float>.Count;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NativeLanes Create(float value) => new(Vector.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NativeLanes Load(float* from) => new(Vector.Load(from));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (NativeLanes Left, NativeLanes Right) LoadFloat16(ushort* from)
    {
        Vector.Widen(Vector.Load(from), out var left, out var right);
        return (new(Float16(left)), new(Float16(right)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (NativeLanes Left, NativeLanes Right) LoadBFloat16(ushort* from)
    {
        Vector.Widen(Vector.Load(from), out var left, out var right);
        return (new(Vector.AsVectorSingle(left << 16)), new(Vector.AsVectorSingle(right << 16)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NativeLanes FusedMultiplyAdd(NativeLanes a, NativeLanes b, NativeLanes c) => new(Vector.FusedMultiplyAdd(a.value, b.value, c.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NativeLanes Max(NativeLanes a, NativeLanes b) => new(Vector.MaxNative(a.value, b.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NativeLanes Min(NativeLanes a, NativeLanes b) => new(Vector.MinNative(a.value, b.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NativeLanes Abs(NativeLanes x) => new(Vector.Abs(x.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NativeLanes WhereLess(NativeLanes x, float limit, NativeLanes then, NativeLanes otherwise) =>
        new(Vector.ConditionalSelect(Vector.LessThan(x.value, Vector.Create(limit)), then.value, otherwise.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NativeLanes ScaleByPowerOfTwo(NativeLanes x, NativeLanes exponent) =>
        new(Vector.AsVectorSingle(Vector.AsVectorInt32(x.value) + (Vector.AsVectorInt32(exponent.value) << 23)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NativeLanes operator +(NativeLanes a, NativeLanes b) => new(a.value + b.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NativeLanes operator -(NativeLanes a, NativeLanes b) => new(a.value - b.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NativeLanes operator -(NativeLanes x) => new(-x.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NativeLanes operator *(NativeLanes a, NativeLanes b) => new(a.value * b.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static NativeLanes operator /(NativeLanes a, NativeLanes b) => new(a.value / b.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* to) => value.Store(to);

    /// <summary>Numbers whose float16 representation is in the low bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<float> Float16(Vector<uint> bits)
    {
        // The exponent's offset is 15 there, 127 here. Below 2⁻¹⁴ there is no leading one: with one, it is subtracted again.
        var magnitude = (bits & Vector.Create(0x7FFFu)) << 13;
        var normal = magnitude + Vector.Create(112u << 23);
        var small = Vector.AsVectorSingle(magnitude + Vector.Create(113u << 23)) - Vector.Create(1f / (1 << 14));
        var number = Vector.ConditionalSelect(Vector.LessThan(magnitude, Vector.Create(1u << 23)), Vector.AsVectorUInt32(small), normal);
        return Vector.AsVectorSingle(number | ((bits & Vector.Create(0x8000u)) << 16));
    }
}
