namespace StorySync.Kernels;

/// <summary>Several float32 numbers that the processor computes on at once; kernels are written for any number of them.</summary>
/// <typeparam name="V">The type itself.</typeparam>
internal unsafe interface IFloatVector<V>
    where V : unmanaged, IFloatVector<V>
{
    /// <summary>How many numbers.</summary>
    static abstract int Count { get; }

    /// <summary>One number in every lane.</summary>
    static abstract V Create(float value);

    /// <summary>Numbers that lie side by side in memory.</summary>
    static abstract V Load(float* from);

    /// <summary>Twice as many float16 numbers (IEEE 754) that lie side by side in memory; finite ones.</summary>
    static abstract (V Left, V Right) LoadFloat16(ushort* from);

    /// <summary>Twice as many bfloat16 numbers that lie side by side in memory.</summary>
    static abstract (V Left, V Right) LoadBFloat16(ushort* from);

    /// <summary>a · b + c, rounded once.</summary>
    static abstract V FusedMultiplyAdd(V a, V b, V c);

    /// <summary>The greater ones; the second where one is no number.</summary>
    static abstract V Max(V a, V b);

    /// <summary>The lesser ones; the second where one is no number.</summary>
    static abstract V Min(V a, V b);

    /// <summary>Without the signs.</summary>
    static abstract V Abs(V x);

    /// <summary>One of two numbers, by whether x is below a limit.</summary>
    static abstract V WhereLess(V x, float limit, V then, V otherwise);

    /// <summary>x · 2ⁿ, where n is in the lowest bits of a number's representation.</summary>
    static abstract V ScaleByPowerOfTwo(V x, V exponent);

    static abstract V operator +(V a, V b);

    static abstract V operator -(V a, V b);

    static abstract V operator -(V x);

    static abstract V operator *(V a, V b);

    static abstract V operator /(V a, V b);

    /// <summary>Puts the numbers side by side into memory.</summary>
    void Store(float* to);
}
