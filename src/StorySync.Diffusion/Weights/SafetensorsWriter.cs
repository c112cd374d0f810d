using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>Writes safetensors files, byte for byte those of the Python library: the widest types first and names in order within a
/// type, so that every tensor is aligned.</summary>
public static class SafetensorsWriter
{
    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Writes tensors. The file appears whole, under its name, when all is written; one that was there before is
    /// replaced.</summary>
    /// <param name="path">The file to write; its folder must exist.</param>
    /// <param name="tensors">The tensors by name, of any device and layout.</param>
    /// <param name="metadata">The file's <c>__metadata__</c>; left out if null.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked between tensors. No file is left.</param>
    /// <exception cref="ArgumentException">A tensor's type has no place in the format, or a tensor is called
    /// <c>__metadata__</c>.</exception>
    public static void Write(
        string path,
        IReadOnlyDictionary<string, Tensor> tensors,
        IReadOnlyDictionary<string, string>? metadata = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        Write(path, tensors.Select(pair => Describe(pair.Key, pair.Value)), name => tensors[name].alias(), metadata, cancellationToken);
    }

    /// <summary>Writes tensors that are computed one at a time, so that a file may be larger than memory.</summary>
    /// <param name="path">The file to write; its folder must exist.</param>
    /// <param name="tensors">What is going to be written.</param>
    /// <param name="read">Makes the tensor of a name, when its turn comes; it is disposed of once written.</param>
    /// <param name="metadata">The file's <c>__metadata__</c>; left out if null.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked between tensors. No file is left.</param>
    /// <exception cref="ArgumentException">A name occurs twice or is <c>__metadata__</c>, or a tensor is not as announced.</exception>
    public static void Write(
        string path,
        IEnumerable<TensorInfo> tensors,
        Func<string, Tensor> read,
        IReadOnlyDictionary<string, string>? metadata = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(tensors);
        ArgumentNullException.ThrowIfNull(read);
        var ordered = Order(tensors);
        AtomicFile.Write(path, stream =>
        {
            WriteHeader(stream, ordered, metadata);
            foreach (var info in ordered)
            {
                cancellationToken.ThrowIfCancellationRequested();
                using var scope = NewDisposeScope();
                var tensor = read(info.Name);
                Check(info, tensor);
                TensorBytes.Write(tensor.cpu().contiguous(), stream);
            }
        });
    }

    private static TensorInfo Describe(string name, Tensor tensor) => tensor.dtype.ToSafetensors() is { } dtype
        ? new TensorInfo(name, dtype, tensor.shape)
        : throw new ArgumentException(
            $"Tensor '{name}' has the type {tensor.dtype}; safetensors files are written with {SafetensorsDtypes.Names}.");

    private static TensorInfo[] Order(IEnumerable<TensorInfo> tensors)
    {
        TensorInfo[] ordered = [.. tensors
            .OrderByDescending(info => info.Dtype)
            .ThenBy(info => Utf8.GetBytes(info.Name), Comparer<byte[]>.Create((a, b) => a.AsSpan().SequenceCompareTo(b)))];
        var twice = ordered.CountBy(info => info.Name).FirstOrDefault(pair => pair.Value > 1).Key;
        if (twice is not null)
        {
            throw new ArgumentException($"Two tensors are called '{twice}'.", nameof(tensors));
        }

        if (ordered.Any(info => info.Name == SafetensorsHeader.MetadataKey))
        {
            throw new ArgumentException(
                $"A tensor cannot be called {SafetensorsHeader.MetadataKey}: the format keeps that name for itself.", nameof(tensors));
        }

        return ordered;
    }

    private static void Check(TensorInfo info, Tensor tensor)
    {
        if (tensor.dtype.ToSafetensors() != info.Dtype || !tensor.shape.SequenceEqual(info.Shape))
        {
            throw new ArgumentException($"Tensor '{info.Name}' was announced as {info.Dtype}{ShapeText.Of(info.Shape)} "
                + $"but is {tensor.dtype}{ShapeText.Of(tensor.shape)}.");
        }
    }

    private static void WriteHeader(FileStream stream, TensorInfo[] tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        var header = Utf8.GetBytes(Header(tensors, metadata));
        var padded = (header.Length + 7) / 8 * 8;
        if (padded > SafetensorsHeader.MaximumLength)
        {
            throw new ArgumentException(
                $"The header would take {ByteSize.Text(padded)}; the format allows {ByteSize.Text(SafetensorsHeader.MaximumLength)}.");
        }

        Span<byte> length = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)padded);
        stream.Write(length);
        stream.Write(header);
        stream.Write("       "u8[..(padded - header.Length)]);
    }

    private static string Header(TensorInfo[] tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        var entries = new List<string>(tensors.Length + 1);
        if (metadata is not null)
        {
            var pairs = string.Join(',', metadata.Select(pair => $"{Quote(pair.Key)}:{Quote(pair.Value)}"));
            entries.Add($"\"{SafetensorsHeader.MetadataKey}\":{{{pairs}}}");
        }

        var begin = 0L;
        foreach (var info in tensors)
        {
            var end = checked(begin + info.ByteCount);
            entries.Add($"{Quote(info.Name)}:{{\"dtype\":\"{info.Dtype}\",\"shape\":[{string.Join(',', info.Shape)}],"
                + $"\"data_offsets\":[{begin},{end}]}}");
            begin = end;
        }

        return $"{{{string.Join(',', entries)}}}";
    }

    /// <summary>A JSON string with as few escapes as there can be; System.Text.Json has no encoder that leaves all of
    /// Unicode alone.</summary>
    private static string Quote(string text)
    {
        var quoted = new StringBuilder("\"", text.Length + 2);
        foreach (var character in text)
        {
            _ = character switch
            {
                '"' or '\\' => quoted.Append('\\').Append(character),
                '\b' => quoted.Append("\\b"),
                '\t' => quoted.Append("\\t"),
                '\n' => quoted.Append("\\n"),
                '\f' => quoted.Append("\\f"),
                '\r' => quoted.Append("\\r"),
                < ' ' => quoted.Append(CultureInfo.InvariantCulture, $"\\u{(int)character:x4}"),
                _ => quoted.Append(character),
            };
        }

        return quoted.Append('"').ToString();
    }
}
