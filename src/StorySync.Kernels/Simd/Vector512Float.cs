using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace StorySync.Kernels;

/// <summary>Sixteen elements, where .NET has vectors of 512 bits (AVX-512).</summary>
internal readonly unsafe struct Vector512Float(Vector512<float> value) : IFloatVector<Vector512Float>
{
    private readonly Vector512<float> value = value;

    public static int Count
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector512<float>.Count;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512Float Create(float value) => new(Vector512.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512Float Load(float* from) => new(Vector512.Load(from));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512Float Broadcast(float* from) => Create(*from);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void CheckRead(float* start, nint count)
    {
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void CheckWrite(float* start, nint count)
    {
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector512Float Left, Vector512Float Right) LoadFloat16(ushort* from)
    {
        var (left, right) = Vector512.Widen(Vector512.Load((short*)from));
        return (new(Float16(left)), new(Float16(right)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector512Float Left, Vector512Float Right) LoadBFloat16(ushort* from)
    {
        var (left, right) = Vector512.Widen(Vector512.Load(from));
        return (new((left << 16).AsSingle()), new((right << 16).AsSingle()));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512Float FusedMultiplyAdd(Vector512Float a, Vector512Float b, Vector512Float c) =>
        new(Vector512.FusedMultiplyAdd(a.value, b.value, c.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512Float Max(Vector512Float a, Vector512Float b) => new(Vector512.MaxNative(a.value, b.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512Float Min(Vector512Float a, Vector512Float b) => new(Vector512.MinNative(a.value, b.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512Float Abs(Vector512Float x) => new(Vector512.Abs(x.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512Float WhereLess(Vector512Float x, float limit, Vector512Float then, Vector512Float otherwise) =>
        new(Vector512.ConditionalSelect(Vector512.LessThan(x.value, Vector512.Create(limit)), then.value, otherwise.value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512Float ScaleByPowerOfTwo(Vector512Float x, Vector512Float exponent) =>
        new((x.value.AsInt32() + (exponent.value.AsInt32() << 23)).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512Float operator +(Vector512Float a, Vector512Float b) => new(a.value + b.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512Float operator -(Vector512Float a, Vector512Float b) => new(a.value - b.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512Float operator -(Vector512Float x) => new(-x.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512Float operator *(Vector512Float a, Vector512Float b) => new(a.value * b.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512Float operator /(Vector512Float a, Vector512Float b) => new(a.value / b.value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* to) => value.Store(to);

    /// <summary>Converts float16 values whose representation is in the low bits, with the sign in the bits above.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Float16(Vector512<int> bits)
    {
        // The exponent is where float32 has it, but its offset is 15, not 127.
        const int Kept = unchecked((int)0x8FFFE000);
        const float Offset = 5.19229686e33f;
        return ((bits << 13) & Vector512.Create(Kept)).AsSingle() * Vector512.Create(Offset);
    }
}
