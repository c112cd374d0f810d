using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace StorySync.Kernels;

/// <summary>How blocks of weights are stored in fewer bits than a number of a processor has. The formats are those of 8-bit floating point
/// (arXiv 2209.05433) and of ggml (https://github.com/ggml-org/ggml).</summary>
/// <param name="name">The format's own name.</param>
/// <param name="values">The number of values of a block.</param>
/// <param name="bytes">The bytes of a block.</param>
internal abstract class BlockFormat(string name, int values, int bytes)
{
    private static readonly BlockFormat[] OfGgml =
    [
        new Legacy("Q4_0", highBits: false, hasMinimum: false), new Legacy("Q4_1", highBits: false, hasMinimum: true),
        new Legacy("Q5_0", highBits: true, hasMinimum: false), new Legacy("Q5_1", highBits: true, hasMinimum: true),
        new Q8(), new Q2K(), new Q3K(), new Q45K("Q4_K", highBits: false), new Q45K("Q5_K", highBits: true), new Q6K(),
    ];

    /// <summary>8-bit floating point with 4 bits of exponent, without infinities (<c>float8_e4m3fn</c>).</summary>
    public static BlockFormat Float8E4M3 { get; } = new Float8("F8_E4M3", E4M3);

    /// <summary>8-bit floating point with 5 bits of exponent: the upper half of float16.</summary>
    public static BlockFormat Float8E5M2 { get; } = new Float8("F8_E5M2",
        bits => (float)BitConverter.UInt16BitsToHalf((ushort)(bits << 8)));

    /// <summary>Gets the format's own name.</summary>
    public string Name => name;

    /// <summary>Gets the number of values of a block.</summary>
    public int Values => values;

    /// <summary>Gets the bytes of a block.</summary>
    public int Bytes => bytes;

    /// <summary>Returns the format of ggml with a name; null if it is none that is read.</summary>
    public static BlockFormat? Find(string name) => Array.Find(OfGgml, format => format.Name == name);

    /// <summary>Decodes whole blocks, in float32 as ggml's reference does.</summary>
    public abstract void Decode(ReadOnlySpan<byte> stored, Span<float> decoded);

    private static float Half(ReadOnlySpan<byte> stored) => (float)BinaryPrimitives.ReadHalfLittleEndian(stored);

    private static float E4M3(byte bits)
    {
        const int Bias = 7, Fraction = 8;
        var (exponent, fraction) = ((bits >> 3) & 15, bits & 7);
        var magnitude = exponent == 15 && fraction == 7 ? float.NaN
            : exponent == 0 ? MathF.ScaleB(fraction, 1 - Bias) / Fraction
            : MathF.ScaleB(Fraction + fraction, exponent - Bias) / Fraction;
        return bits < 0x80 ? magnitude : -magnitude;
    }

    /// <summary>One byte a value, looked up.</summary>
    private sealed class Float8(string name, Func<byte, float> decode) : BlockFormat(name, 1, 1)
    {
        private readonly float[] table = [.. Enumerable.Range(0, 256).Select(bits => decode((byte)bits))];

        public override void Decode(ReadOnlySpan<byte> stored, Span<float> decoded)
        {
            for (var i = 0; i < stored.Length; i++)
            {
                decoded[i] = table[stored[i]];
            }
        }
    }

    /// <summary>Blocks of 32 with a scale.</summary>
    private sealed class Q8() : BlockFormat("Q8_0", 32, 34)
    {
        public override void Decode(ReadOnlySpan<byte> stored, Span<float> decoded)
        {
            for (; stored.Length > 0; stored = stored[34..], decoded = decoded[32..])
            {
                var scale = Half(stored);
                var whole = MemoryMarshal.Cast<byte, sbyte>(stored[2..34]);
                for (var i = 0; i < 32; i++)
                {
                    decoded[i] = scale * whole[i];
                }
            }
        }
    }

    /// <summary>Blocks of 32 of 4 bits, or 5 with the fifth in a word of its own: a scale and a minimum, or a scale alone and values around
    /// the middle. The first half of a block is in the lower halves of the bytes.</summary>
    private sealed class Legacy(string name, bool highBits, bool hasMinimum)
        : BlockFormat(name, 32, 2 + (hasMinimum ? 2 : 0) + (highBits ? 4 : 0) + 16)
    {
        public override void Decode(ReadOnlySpan<byte> stored, Span<float> decoded)
        {
            var middle = hasMinimum ? 0 : highBits ? 16 : 8;
            for (; stored.Length > 0; stored = stored[Bytes..], decoded = decoded[32..])
            {
                // Adding −0 leaves a −0 what it is.
                var (scale, minimum) = (Half(stored), hasMinimum ? Half(stored[2..]) : -0f);
                var high = highBits ? BinaryPrimitives.ReadUInt32LittleEndian(stored[(Bytes - 20)..]) : 0;
                var low = stored[(Bytes - 16)..Bytes];
                for (var i = 0; i < 16; i++)
                {
                    var (first, second) = (low[i] & 15 | (int)(high >> i & 1) << 4, low[i] >> 4 | (int)(high >> (i + 16) & 1) << 4);
                    decoded[i] = (scale * (first - middle)) + minimum;
                    decoded[i + 16] = (scale * (second - middle)) + minimum;
                }
            }
        }
    }

    /// <summary>Blocks of 256: for each 16 a scale and a minimum of 4 bits, then 2 bits a value.</summary>
    private sealed class Q2K() : BlockFormat("Q2_K", 256, 84)
    {
        public override void Decode(ReadOnlySpan<byte> stored, Span<float> decoded)
        {
            for (; stored.Length > 0; stored = stored[84..], decoded = decoded[256..])
            {
                var (scale, minimum) = (Half(stored[80..]), Half(stored[82..]));
                for (var i = 0; i < 256; i++)
                {
                    // 32 bytes have four times 32 values: the lowest bits are the first 32.
                    var bits = stored[16 + (i / 128 * 32) + (i % 32)] >> (i % 128 / 32 * 2) & 3;
                    var steps = stored[i / 16];
                    decoded[i] = (scale * (steps & 15) * bits) - (minimum * (steps >> 4));
                }
            }
        }
    }

    /// <summary>Blocks of 256: for each 16 a scale of 6 bits, 2 bits a value, and a third in a mask.</summary>
    private sealed class Q3K() : BlockFormat("Q3_K", 256, 110)
    {
        public override void Decode(ReadOnlySpan<byte> stored, Span<float> decoded)
        {
            for (; stored.Length > 0; stored = stored[110..], decoded = decoded[256..])
            {
                var scale = Half(stored[108..]);
                var steps = stored[96..108];
                for (var i = 0; i < 256; i++)
                {
                    var at = i / 16;
                    var step = (at < 8 ? steps[at] & 15 : steps[at - 8] >> 4) | (steps[8 + (at % 4)] >> (at / 4 * 2) & 3) << 4;
                    var low = stored[32 + (i / 128 * 32) + (i % 32)] >> (i % 128 / 32 * 2) & 3;
                    var isHigh = (stored[i % 32] >> (i / 32) & 1) != 0;
                    decoded[i] = scale * (step - 32) * (isHigh ? low : low - 4);
                }
            }
        }
    }

    /// <summary>Blocks of 256 of 4 or 5 bits: for each 32 a scale and a minimum of 6 bits.</summary>
    private sealed class Q45K(string name, bool highBits) : BlockFormat(name, 256, 16 + (highBits ? 32 : 0) + 128)
    {
        public override void Decode(ReadOnlySpan<byte> stored, Span<float> decoded)
        {
            for (; stored.Length > 0; stored = stored[Bytes..], decoded = decoded[256..])
            {
                var (scale, minimum) = (Half(stored), Half(stored[2..]));
                var steps = stored[4..16];
                var high = stored[16..48];
                var low = stored[(Bytes - 128)..Bytes];
                for (var part = 0; part < 8; part++)
                {
                    // The last four have the upper two of their six bits in what the first four leave.
                    var (step, offset) = part < 4
                        ? (steps[part] & 63, steps[part + 4] & 63)
                        : (steps[part + 4] & 15 | steps[part - 4] >> 6 << 4, steps[part + 4] >> 4 | steps[part] >> 6 << 4);
                    var (times, minus) = (scale * step, minimum * offset);
                    for (var i = 0; i < 32; i++)
                    {
                        var value = low[(part / 2 * 32) + i] >> (part % 2 * 4) & 15;
                        value |= highBits ? (high[i] >> part & 1) << 4 : 0;
                        decoded[(part * 32) + i] = (times * value) - minus;
                    }
                }
            }
        }
    }

    /// <summary>Blocks of 256 of 6 bits: for each 16 a scale of 8 bits.</summary>
    private sealed class Q6K() : BlockFormat("Q6_K", 256, 210)
    {
        public override void Decode(ReadOnlySpan<byte> stored, Span<float> decoded)
        {
            for (; stored.Length > 0; stored = stored[210..], decoded = decoded[256..])
            {
                var steps = MemoryMarshal.Cast<byte, sbyte>(stored[192..208]);
                var scale = Half(stored[208..]);
                for (var i = 0; i < 256; i++)
                {
                    var (half, within) = (i / 128, i % 128);
                    var low = stored[(half * 64) + (within % 64)] >> (within / 64 * 4) & 15;
                    var high = stored[128 + (half * 32) + (within % 32)] >> (within / 32 * 2) & 3;
                    decoded[i] = scale * steps[i / 16] * ((low | high << 4) - 32);
                }
            }
        }
    }
}
