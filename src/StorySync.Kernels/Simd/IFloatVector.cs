namespace StorySync.Kernels;

/// <summary>Defines a SIMD vector of single-precision elements; kernels are written for any number of them.</summary>
/// <typeparam name="V">The vector type.</typeparam>
internal unsafe interface IFloatVector<V>
    where V : unmanaged, IFloatVector<V>
{
    /// <summary>Gets the number of elements.</summary>
    static abstract int Count { get; }

    /// <summary>Creates a vector with one value in every element.</summary>
    static abstract V Create(float value);

    /// <summary>Loads a vector from an address.</summary>
    static abstract V Load(float* from);

    /// <summary>Loads one value into every element.</summary>
    static abstract V Broadcast(float* from);

    /// <summary>Fails, in checked runs, unless the elements may be read: see <see cref="MemoryGuard"/>.</summary>
    static abstract void CheckRead(float* start, nint count);

    /// <summary>Fails, in checked runs, unless the elements may be written.</summary>
    static abstract void CheckWrite(float* start, nint count);

    /// <summary>Loads twice as many finite float16 (IEEE 754) values.</summary>
    static abstract (V Left, V Right) LoadFloat16(ushort* from);

    /// <summary>Loads twice as many bfloat16 values.</summary>
    static abstract (V Left, V Right) LoadBFloat16(ushort* from);

    /// <summary>Computes a · b + c, rounded once.</summary>
    static abstract V FusedMultiplyAdd(V a, V b, V c);

    /// <summary>Computes the element-wise maximum; returns <paramref name="b"/> where either operand is NaN.</summary>
    static abstract V Max(V a, V b);

    /// <summary>Computes the element-wise minimum; returns <paramref name="b"/> where either operand is NaN.</summary>
    static abstract V Min(V a, V b);

    /// <summary>Computes the absolute values.</summary>
    static abstract V Abs(V x);

    /// <summary>Selects elements of two vectors by whether x is below a limit.</summary>
    static abstract V WhereLess(V x, float limit, V then, V otherwise);

    /// <summary>Computes x · 2ⁿ, where n is in the lowest bits of an element's representation.</summary>
    static abstract V ScaleByPowerOfTwo(V x, V exponent);

    static abstract V operator +(V a, V b);

    static abstract V operator -(V a, V b);

    static abstract V operator -(V x);

    static abstract V operator *(V a, V b);

    static abstract V operator /(V a, V b);

    /// <summary>Stores the vector at an address.</summary>
    void Store(float* to);
}
