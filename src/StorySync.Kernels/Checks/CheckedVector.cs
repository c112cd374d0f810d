namespace StorySync.Kernels;

/// <summary>A vector that checks what it loads and stores: see <see cref="MemoryGuard"/>.</summary>
internal readonly unsafe struct CheckedVector<V>(V value) : IFloatVector<CheckedVector<V>>
    where V : unmanaged, IFloatVector<V>
{
    private readonly V value = value;

    public static int Count => V.Count;

    public static CheckedVector<V> Create(float value) => new(V.Create(value));

    public static CheckedVector<V> Load(float* from)
    {
        CheckRead(from, Count);
        return new(V.Load(from));
    }

    public static CheckedVector<V> Broadcast(float* from)
    {
        CheckRead(from, 1);
        return new(V.Broadcast(from));
    }

    public static (CheckedVector<V> Left, CheckedVector<V> Right) LoadFloat16(ushort* from)
    {
        CheckRead((float*)from, Count);
        var (left, right) = V.LoadFloat16(from);
        return (new(left), new(right));
    }

    public static (CheckedVector<V> Left, CheckedVector<V> Right) LoadBFloat16(ushort* from)
    {
        CheckRead((float*)from, Count);
        var (left, right) = V.LoadBFloat16(from);
        return (new(left), new(right));
    }

    public static void CheckRead(float* start, nint count) => MemoryGuard.Check(start, count * sizeof(float), write: false);

    public static void CheckWrite(float* start, nint count) => MemoryGuard.Check(start, count * sizeof(float), write: true);

    public static CheckedVector<V> FusedMultiplyAdd(CheckedVector<V> a, CheckedVector<V> b, CheckedVector<V> c) =>
        new(V.FusedMultiplyAdd(a.value, b.value, c.value));

    public static CheckedVector<V> Max(CheckedVector<V> a, CheckedVector<V> b) => new(V.Max(a.value, b.value));

    public static CheckedVector<V> Min(CheckedVector<V> a, CheckedVector<V> b) => new(V.Min(a.value, b.value));

    public static CheckedVector<V> Abs(CheckedVector<V> x) => new(V.Abs(x.value));

    public static CheckedVector<V> WhereLess(CheckedVector<V> x, float limit, CheckedVector<V> then, CheckedVector<V> otherwise) =>
        new(V.WhereLess(x.value, limit, then.value, otherwise.value));

    public static CheckedVector<V> ScaleByPowerOfTwo(CheckedVector<V> x, CheckedVector<V> exponent) =>
        new(V.ScaleByPowerOfTwo(x.value, exponent.value));

    public static CheckedVector<V> operator +(CheckedVector<V> a, CheckedVector<V> b) => new(a.value + b.value);

    public static CheckedVector<V> operator -(CheckedVector<V> a, CheckedVector<V> b) => new(a.value - b.value);

    public static CheckedVector<V> operator -(CheckedVector<V> x) => new(-x.value);

    public static CheckedVector<V> operator *(CheckedVector<V> a, CheckedVector<V> b) => new(a.value * b.value);

    public static CheckedVector<V> operator /(CheckedVector<V> a, CheckedVector<V> b) => new(a.value / b.value);

    public void Store(float* to)
    {
        CheckWrite(to, Count);
        value.Store(to);
    }
}
