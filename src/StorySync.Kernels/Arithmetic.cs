using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Arithmetic of tensors with numbers, and with what TorchSharp makes a number for (a sum has a factor of one).</summary>
/// <remarks>TorchSharp hands numbers to libtorch as <see cref="Scalar"/> objects, and in <c>x * 2</c>, <c>x + y</c> or <c>x.add_(y)</c>
/// nothing keeps that object alive while libtorch reads it: a garbage collection at that moment frees the number, and the result is another
/// one or an error. Here each is kept until the operation has returned. Results, types included, are those of TorchSharp's
/// members.</remarks>
internal static class Arithmetic
{
    private static readonly Scalar One = 1.ToScalar();

    public static Tensor Plus(this Tensor x, Tensor y) => x.add(y, One);

    public static Tensor Plus(this Tensor x, double y) => With(y.ToScalar(), x, static (x, y) => x.add(y, One));

    public static Tensor Plus(this Tensor x, long y) => With(y.ToScalar(), x, static (x, y) => x.add(y, One));

    /// <summary>Adds <paramref name="factor"/> times <paramref name="y"/>.</summary>
    public static Tensor Plus(this Tensor x, Tensor y, double factor)
    {
        using var scalar = factor.ToScalar();
        return x.add(y, scalar);
    }

    public static Tensor Plus_(this Tensor x, Tensor y) => x.add_(y, One);

    public static Tensor Plus_(this Tensor x, double y) => With(y.ToScalar(), x, static (x, y) => x.add_(y, One));

    /// <summary>Adds <paramref name="factor"/> times <paramref name="y"/> in place.</summary>
    public static Tensor Plus_(this Tensor x, Tensor y, double factor)
    {
        using var scalar = factor.ToScalar();
        return x.add_(y, scalar);
    }

    /// <summary>Adds the product of two tensors.</summary>
    public static Tensor PlusProduct(this Tensor x, Tensor y, Tensor z) => x.addcmul(y, z, One);

    public static Tensor Minus(this Tensor x, double y) => With(y.ToScalar(), x, static (x, y) => x.sub(y));

    public static Tensor Minus(this Tensor x, long y) => With(y.ToScalar(), x, static (x, y) => x.sub(y));

    public static Tensor Minus_(this Tensor x, double y) => With(y.ToScalar(), x, static (x, y) => x.sub_(y));

    /// <summary>Gives 1 − x.</summary>
    public static Tensor Complement(this Tensor x)
    {
        using var negative = x.negative();
        return negative.Plus(1);
    }

    public static Tensor Times(this Tensor x, double y) => With(y.ToScalar(), x, static (x, y) => x.mul(y));

    public static Tensor Times(this Tensor x, long y) => With(y.ToScalar(), x, static (x, y) => x.mul(y));

    public static Tensor Times_(this Tensor x, double y) => With(y.ToScalar(), x, static (x, y) => x.mul_(y));

    public static Tensor Over(this Tensor x, double y) => With(y.ToScalar(), x, static (x, y) => x.div(y));

    public static Tensor Over_(this Tensor x, double y) => With(y.ToScalar(), x, static (x, y) => x.div_(y));

    public static Tensor FloorDivide(this Tensor x, long y) => With(y.ToScalar(), x, static (x, y) => x.floor_divide(y));

    public static Tensor Remainder(this Tensor x, long y) => With(y.ToScalar(), x, static (x, y) => x.remainder(y));

    public static Tensor Pow(this Tensor x, long y) => With(y.ToScalar(), x, static (x, y) => x.pow(y));

    public static Tensor Clamp(this Tensor x, double least, double most)
    {
        using var lower = least.ToScalar();
        using var upper = most.ToScalar();
        return x.clamp(lower, upper);
    }

    public static Tensor Clamp(this Tensor x, long least, long most)
    {
        using var lower = least.ToScalar();
        using var upper = most.ToScalar();
        return x.clamp(lower, upper);
    }

    public static Tensor Clamp_(this Tensor x, double least, double most)
    {
        using var lower = least.ToScalar();
        using var upper = most.ToScalar();
        return x.clamp_(lower, upper);
    }

    public static Tensor ClampMin(this Tensor x, double least) => With(least.ToScalar(), x, static (x, y) => x.clamp_min(y));

    public static Tensor ClampMax(this Tensor x, long most) => With(most.ToScalar(), x, static (x, y) => x.clamp_max(y));

    /// <summary>Puts another number where a value is not greater than the threshold.</summary>
    public static Tensor Threshold(this Tensor x, double threshold, double otherwise)
    {
        using var limit = threshold.ToScalar();
        using var value = otherwise.ToScalar();
        return x.threshold(limit, value);
    }

    public static Tensor MaskedFill(this Tensor x, Tensor mask, double value)
    {
        using var scalar = value.ToScalar();
        return x.masked_fill(mask, scalar);
    }

    public static Tensor EqualTo(this Tensor x, long y) => With(y.ToScalar(), x, static (x, y) => x.eq(y));

    public static Tensor NotEqualTo(this Tensor x, long y) => With(y.ToScalar(), x, static (x, y) => x.ne(y));

    public static Tensor GreaterThan(this Tensor x, long y) => With(y.ToScalar(), x, static (x, y) => x.gt(y));

    public static Tensor GreaterOrEqual(this Tensor x, double y) => With(y.ToScalar(), x, static (x, y) => x.ge(y));

    public static Tensor LessThan(this Tensor x, double y) => With(y.ToScalar(), x, static (x, y) => x.lt(y));

    public static Tensor LessThan(this Tensor x, long y) => With(y.ToScalar(), x, static (x, y) => x.lt(y));

    /// <summary>Gives the numbers from <paramref name="start"/> up to and without <paramref name="stop"/>.</summary>
    public static Tensor Arange(long start, long stop, long step = 1, ScalarType dtype = ScalarType.Int64, Device? device = null)
    {
        using var first = start.ToScalar();
        using var end = stop.ToScalar();
        using var distance = step.ToScalar();
        return arange(first, end, distance, dtype, device);
    }

    private static Tensor With(Scalar number, Tensor x, Func<Tensor, Scalar, Tensor> operation)
    {
        using (number)
        {
            return operation(x, number);
        }
    }
}
