using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Kernels.Tests;

[Collection(typeof(AloneCollection))]
public class WeightStorageTests
{
    private static readonly PackedMatrix Format = new(Parts: 1);

    [Fact]
    public void Packed_values_are_in_memory_once_and_come_back_to_the_bit()
    {
        using var scope = NewDisposeScope();
        var values = Seeded.Normal(10, 7);
        using var weight = new TestWeight(values);
        var packed = weight.Storage.GetOrPack(Format, [1, 7]);

        Assert.Equal(DeviceType.META, weight.Parameter.device_type);
        Assert.Same(packed, weight.Storage.GetOrPack(new PackedMatrix(Parts: 1), [5, 7]));
        TensorAssert.SameBits(values, weight.Storage.Values());
        weight.Storage.Materialize();
        TensorAssert.SameBits(values, weight.Parameter);
    }

    [Fact]
    public void Another_format_takes_nothing_from_those_who_use_the_first()
    {
        using var scope = NewDisposeScope();
        var values = Seeded.Normal(10, 7);
        using var weight = new TestWeight(values);
        var first = weight.Storage.GetOrPack(Format, [1, 7])![0].clone();
        var other = new PackedMatrix(Parts: 2);
        TensorAssert.SameBits(values, other.Unpack(weight.Storage.GetOrPack(other, [1, 7])!, values.shape));
        TensorAssert.SameBits(first, weight.Storage.GetOrPack(Format, [1, 7])![0]);
    }

    [Fact]
    public void Values_that_are_swapped_for_a_time_come_back()
    {
        using var scope = NewDisposeScope();
        var values = Seeded.Normal(10, 7);
        using var weight = new TestWeight(values);
        var (before, guest) = (weight.Storage.GetOrPack(Format, [1, 7])![0].clone(), Seeded.Normal(10, 7));
        weight.Storage.Swap(guest);
        Assert.False(weight.Storage.GetOrPack(Format, [1, 7])![0].SameBitsAs(before));
        weight.Storage.Swap(guest);
        TensorAssert.SameBits(values, weight.Parameter);
        TensorAssert.SameBits(before, weight.Storage.GetOrPack(Format, [1, 7])![0]);
    }

    [Fact]
    public void Values_for_another_type_are_not_packed()
    {
        using var scope = NewDisposeScope();
        using var weight = new TestWeight(Seeded.Normal([10, 7], float64));
        Assert.Null(weight.Storage.GetOrPack(Format, [1, 7]));
        Assert.Same(weight.Parameter, weight.Storage.Values());
    }

    [Fact]
    public void First_uses_may_be_simultaneous()
    {
        for (var round = 0; round < 20; round++)
        {
            using var scope = NewDisposeScope();
            var values = Seeded.Normal(200, 300);
            using var weight = new TestWeight(values);
            var results = new Tensor[]?[8];
            Parallel.For(0, results.Length, i =>
            {
                using var own = NewDisposeScope();
                Assert.Equal(ScalarType.Float32, weight.Storage.Dtype);
                Assert.Equal(values.shape, weight.Storage.Values().shape);
                results[i] = weight.Storage.GetOrPack(Format, [1, 300]);
                Assert.Equal(ScalarType.Float32, weight.Storage.Dtype);
            });
            Assert.All(results, packed => Assert.Same(results[0], packed));
        }
    }

    [Fact]
    public void No_tensor_is_left() => LiveTensors.AssertNoneLeft(() =>
    {
        using var scope = NewDisposeScope();
        using var weight = new TestWeight(Seeded.Normal(10, 7));
        weight.Storage.GetOrPack(Format, [1, 7]);
        weight.Storage.Replace(Seeded.Normal(10, 7).DetachFromDisposeScope());
        weight.Storage.GetOrPack(Format, [1, 7]);
        weight.Storage.Materialize();
    });
}
