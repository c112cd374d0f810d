using System.Buffers.Binary;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>Rows of 8-bit whole numbers, each with a scale: a value is <c>scale · q</c>, and the row's largest magnitude is 127.</summary>
/// <param name="columns">The length of a row.</param>
internal sealed class Int8Rows(int columns) : BlockFormat("I8", columns, columns + sizeof(float))
{
    private const int Largest = 127;

    /// <summary>Rounds weights.</summary>
    /// <param name="weight">(rows, …), float32, contiguous, on the CPU.</param>
    /// <returns>The rows in this form, uint8, in the current dispose scope; null where a value is infinite or NaN.</returns>
    public Tensor? Encode(Tensor weight)
    {
        var rows = checked((int)(weight.numel() / Values));
        var result = empty([rows, (long)Bytes], ScalarType.Byte);
        using var flat = weight.view(rows, Values);
        var isFinite = true;
        ThreadTeam.Run(rows, row =>
        {
            using var source = flat[row];
            using var target = result[row];
            if (!EncodeRow(MemoryMarshal.Cast<byte, float>(source.bytes), target.bytes))
            {
                Volatile.Write(ref isFinite, false);
            }
        });
        if (isFinite)
        {
            return result;
        }

        result.Dispose();
        return null;
    }

    public override void Decode(ReadOnlySpan<byte> stored, Span<float> decoded)
    {
        for (; stored.Length > 0; stored = stored[Bytes..], decoded = decoded[Values..])
        {
            var scale = BinaryPrimitives.ReadSingleLittleEndian(stored);
            var whole = MemoryMarshal.Cast<byte, sbyte>(stored[sizeof(float)..Bytes]);
            for (var i = 0; i < Values; i++)
            {
                decoded[i] = scale * whole[i];
            }
        }
    }

    private static bool EncodeRow(ReadOnlySpan<float> values, Span<byte> stored)
    {
        var most = 0f;
        foreach (var value in values)
        {
            // A NaN is not at most anything.
            most = MathF.Abs(value) <= most ? most : MathF.Abs(value);
        }

        if (!float.IsFinite(most))
        {
            return false;
        }

        var scale = most / Largest;
        BinaryPrimitives.WriteSingleLittleEndian(stored, scale);
        var whole = MemoryMarshal.Cast<byte, sbyte>(stored[sizeof(float)..]);
        for (var i = 0; i < values.Length; i++)
        {
            whole[i] = scale == 0 ? (sbyte)0 : (sbyte)Math.Clamp(MathF.Round(values[i] / scale), -Largest, Largest);
        }

        return true;
    }
}
