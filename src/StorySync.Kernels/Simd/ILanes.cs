namespace StorySync.Kernels;

/// <summary>Several float32 numbers that the processor computes on at once; kernels are written for any number of them.</summary>
/// <typeparam name="T">The type itself.</typeparam>
internal unsafe interface ILanes<T>
    where T : unmanaged, ILanes<T>
{
    /// <summary>How many numbers.</summary>
    static abstract int Count { get; }

    /// <summary>One number in every lane.</summary>
    static abstract T Create(float value);

    /// <summary>Numbers that lie side by side in memory.</summary>
    static abstract T Load(float* from);

    /// <summary>Twice as many float16 numbers (IEEE 754) that lie side by side in memory; finite ones.</summary>
    static abstract (T Left, T Right) LoadFloat16(ushort* from);

    /// <summary>Twice as many bfloat16 numbers that lie side by side in memory.</summary>
    static abstract (T Left, T Right) LoadBFloat16(ushort* from);

    /// <summary>a · b + c, rounded once.</summary>
    static abstract T FusedMultiplyAdd(T a, T b, T c);

    /// <summary>The greater ones; the second where one is no number.</summary>
    static abstract T Max(T a, T b);

    /// <summary>The lesser ones; the second where one is no number.</summary>
    static abstract T Min(T a, T b);

    /// <summary>Without the signs.</summary>
    static abstract T Abs(T x);

    /// <summary>One of two numbers, by whether x is below a limit.</summary>
    static abstract T WhereLess(T x, float limit, T then, T otherwise);

    /// <summary>x · 2ⁿ, where n is in the lowest bits of a number's representation.</summary>
    static abstract T ScaleByPowerOfTwo(T x, T exponent);

    static abstract T operator +(T a, T b);

    static abstract T operator -(T a, T b);

    static abstract T operator -(T x);

    static abstract T operator *(T a, T b);

    static abstract T operator /(T a, T b);

    /// <summary>Puts the numbers side by side into memory.</summary>
    void Store(float* to);
}
