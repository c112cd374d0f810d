
namespace StorySync.Kernels.Tests;

public class FloatVectorTests
{
    [Fact]
    public void Every_finite_float16_number_is_read_exactly()
    {
        AssertReads(bits => (float)BitConverter.UInt16BitsToHalf(bits), (from, to) => Read<VectorNative>(from, to, half: true));
        AssertReads(bits => (float)BitConverter.UInt16BitsToHalf(bits), (from, to) => Read<Vector512Float>(from, to, half: true));
    }

    [Fact]
    public void Every_bfloat16_number_is_read_exactly()
    {
        AssertReads(bits => BitConverter.UInt32BitsToSingle((uint)bits << 16), (from, to) => Read<VectorNative>(from, to, half: false));
        AssertReads(bits => BitConverter.UInt32BitsToSingle((uint)bits << 16), (from, to) => Read<Vector512Float>(from, to, half: false));
    }

    private static void AssertReads(Func<ushort, float> expected, Action<ushort[], float[]> read)
    {
        ushort[] all = [.. Enumerable.Range(0, ushort.MaxValue + 1).Select(i => (ushort)i)];
        var numbers = new float[all.Length];
        read(all, numbers);
        Assert.All(all.Where(bits => float.IsFinite(expected(bits))), bits =>
            Assert.Equal(BitConverter.SingleToUInt32Bits(expected(bits)), BitConverter.SingleToUInt32Bits(numbers[bits])));
    }

    private static unsafe void Read<V>(ushort[] from, float[] to, bool half)
        where V : unmanaged, IFloatVector<V>
    {
        fixed (ushort* start = from)
        fixed (float* end = to)
        {
            for (var at = 0; at < from.Length; at += 2 * V.Count)
            {
                var (left, right) = half ? V.LoadFloat16(start + at) : V.LoadBFloat16(start + at);
                left.Store(end + at);
                right.Store(end + at + V.Count);
            }
        }
    }
}
