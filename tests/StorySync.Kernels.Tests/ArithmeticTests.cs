using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Kernels.Tests;

[Collection(typeof(AloneCollection))]
public class ArithmeticTests
{
    /// <summary>Without something that holds a number, a collection during a call frees it before libtorch has read it.</summary>
    [Fact]
    public async Task Numbers_outlive_the_operation()
    {
        const int rounds = 6000;
        var working = true;
        var collector = Task.Factory.StartNew(Collect, TaskCreationOptions.LongRunning);
        try
        {
            await Task.WhenAll(
                Task.Factory.StartNew(Compute, TaskCreationOptions.LongRunning),
                Task.Factory.StartNew(Compute, TaskCreationOptions.LongRunning));
        }
        finally
        {
            working = false;
            await collector;
        }

        void Collect()
        {
            while (Volatile.Read(ref working))
            {
                GC.Collect(0);
                GC.WaitForPendingFinalizers();
            }
        }

        static void Compute()
        {
            using var two = tensor(2f);
            for (var round = 0; round < rounds; round++)
            {
                using var scope = NewDisposeScope();
                var x = two.clone();
                Assert.Equal(4, x.Plus(two).item<float>());
                Assert.Equal(4, x.Plus_(two).item<float>());
                Assert.Equal(2, x.Times(0.25).Plus(1.0).item<float>());
                Assert.Equal(1, x.Over(4).item<float>());
                Assert.Equal(-3, x.Complement().item<float>());
                Assert.Equal(3, x.Clamp(0.0, 3.0).item<float>());
                Assert.Equal(8, x.PlusProduct(two, two).item<float>());
            }
        }
    }

    [Fact]
    public void Results_are_those_of_TorchSharp()
    {
        using var scope = NewDisposeScope();
        var whole = tensor(new long[] { -3, 0, 1, 1L << 40 });
        var real = Seeded.Normal(64);
        var half = real.to(ScalarType.Float16);
        foreach (var x in (Tensor[])[whole, real, half])
        {
            TensorAssert.SameBits(x + x, x.Plus(x));
            TensorAssert.SameBits(x + 3, x.Plus(3));
            TensorAssert.SameBits(x + 0.1, x.Plus(0.1));
            TensorAssert.SameBits(x + 0.1f, x.Plus(0.1f));
            TensorAssert.SameBits(x - 3, x.Minus(3));
            TensorAssert.SameBits(x - 0.1, x.Minus(0.1));
            TensorAssert.SameBits(1 - x, x.Complement());
            TensorAssert.SameBits(x * 3, x.Times(3));
            TensorAssert.SameBits(x * 0.1f, x.Times(0.1f));
            TensorAssert.SameBits(x / 3, x.Over(3));
            TensorAssert.SameBits(x.pow(2), x.Pow(2));
            TensorAssert.SameBits(x.clamp(-1, 2), x.Clamp(-1, 2));
            TensorAssert.SameBits(x > 0, x.GreaterThan(0));
            TensorAssert.SameBits(x < 1, x.LessThan(1));
            TensorAssert.SameBits(x < 0.5, x.LessThan(0.5));
            TensorAssert.SameBits(x.eq(0), x.EqualTo(0));
            TensorAssert.SameBits(x.floor_divide(2), x.FloorDivide(2));
            TensorAssert.SameBits(x.remainder(2), x.Remainder(2));
        }

        foreach (var x in (Tensor[])[real, half])
        {
            TensorAssert.SameBits(x.clone().add_(x, 0.3), x.clone().Plus_(x, 0.3));
            TensorAssert.SameBits(x.clone().mul_(0.3).add_(0.1).sub_(0.2).div_(3), x.clone().Times_(0.3).Plus_(0.1).Minus_(0.2).Over_(3));
            TensorAssert.SameBits(addcmul(x, x, x, 1), x.PlusProduct(x, x));
            TensorAssert.SameBits(x.clamp_min(1e-3), x.ClampMin(1e-3));
            TensorAssert.SameBits(x.masked_fill(x > 0, -1), x.MaskedFill(x > 0, -1));
            TensorAssert.SameBits(nn.functional.threshold(x, 0.2, double.NegativeInfinity), x.Threshold(0.2, double.NegativeInfinity));
        }

        TensorAssert.SameBits(arange(5), Arithmetic.Arange(0, 5));
        TensorAssert.SameBits(arange(5, ScalarType.Float32), Arithmetic.Arange(0, 5, dtype: ScalarType.Float32));
        TensorAssert.SameBits(arange(3, 12, 2, ScalarType.Float64), Arithmetic.Arange(3, 12, 2, ScalarType.Float64));
    }
}
