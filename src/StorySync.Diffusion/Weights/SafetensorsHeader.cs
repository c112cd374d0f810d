using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace StorySync.Diffusion.Weights;

/// <summary>The JSON header of a safetensors file, checked as strictly as the format's own validator does, and for duplicate
/// keys.</summary>
/// <param name="Tensors">What the file holds, in the order of the data.</param>
/// <param name="Begins">Where the tensors begin, in bytes from the start of the data section; same order.</param>
/// <param name="Metadata">The <c>__metadata__</c> entry.</param>
internal sealed record SafetensorsHeader(
    IReadOnlyList<TensorInfo> Tensors, IReadOnlyList<long> Begins, IReadOnlyDictionary<string, string> Metadata)
{
    public const long MaximumLength = 100_000_000;
    public const string MetadataKey = "__metadata__";

    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    /// <summary>Gets the length of the data section that the header describes.</summary>
    public long DataLength => Tensors.Count == 0 ? 0 : Begins[^1] + Tensors[^1].ByteCount;

    /// <exception cref="FormatException">The header breaks a rule of the format.</exception>
    public static SafetensorsHeader Parse(ReadOnlyMemory<byte> json)
    {
        if (!json.Span.StartsWith("{"u8))
        {
            throw new FormatException("its header does not start with '{'");
        }

        if (!Utf8.IsValid(json.Span))
        {
            throw new FormatException("its header is not UTF-8");
        }

        try
        {
            using var document = JsonDocument.Parse(json, Strict);
            return Read(document.RootElement);
        }
        catch (JsonException exception)
        {
            throw new FormatException($"its header is not valid JSON ({exception.Message})", exception);
        }
        catch (InvalidOperationException exception)
        {
            // A string with half a surrogate pair is JSON, but no text.
            throw new FormatException($"its header holds a string that is not text ({exception.Message})", exception);
        }
    }

    private static SafetensorsHeader Read(JsonElement root)
    {
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        var entries = new List<(long Begin, long End, TensorInfo Info)>();
        foreach (var property in root.EnumerateObject())
        {
            if (property.Name != MetadataKey)
            {
                entries.Add(ReadEntry(property.Name, property.Value));
            }
            else if (property.Value.ValueKind != JsonValueKind.Null)
            {
                ReadMetadata(property.Value, metadata);
            }
        }

        // Zero-sized tensors share their place with the next one: the end decides between them, then the name.
        entries.Sort((a, b) => (a.Begin, a.End).CompareTo((b.Begin, b.End)) is var order and not 0 ? order
            : string.CompareOrdinal(a.Info.Name, b.Info.Name));
        CheckContiguous(entries);
        return new SafetensorsHeader([.. entries.Select(e => e.Info)], [.. entries.Select(e => e.Begin)], metadata);
    }

    private static void ReadMetadata(JsonElement value, Dictionary<string, string> metadata)
    {
        if (value.ValueKind != JsonValueKind.Object)
        {
            throw new FormatException($"{MetadataKey} is {Kind(value)}; it must be an object of strings");
        }

        foreach (var entry in value.EnumerateObject())
        {
            metadata.Add(entry.Name, entry.Value.ValueKind == JsonValueKind.String
                ? entry.Value.GetString()!
                : throw new FormatException($"entry '{entry.Name}' of {MetadataKey} is {Kind(entry.Value)}; it must be a string"));
        }
    }

    private static (long Begin, long End, TensorInfo Info) ReadEntry(string name, JsonElement entry)
    {
        if (entry.ValueKind != JsonValueKind.Object)
        {
            throw new FormatException($"entry '{name}' is {Kind(entry)}; it must be an object");
        }

        var dtypeElement = Member(name, entry, "dtype");
        var dtypeName = dtypeElement.ValueKind == JsonValueKind.String ? dtypeElement.GetString()! : Kind(dtypeElement);
        if (!SafetensorsDtypes.TryParse(dtypeName, out var dtype))
        {
            throw new FormatException($"tensor '{name}' has the dtype {dtypeName}, which the format does not know");
        }

        var shape = Numbers(name, entry, "shape");
        var offsets = Numbers(name, entry, "data_offsets");
        if (offsets.Length != 2 || offsets[1] < offsets[0])
        {
            throw new FormatException($"tensor '{name}' has the data_offsets {ShapeText.Of(offsets)}; they must be [begin, end]");
        }

        var length = offsets[1] - offsets[0];
        var bits = Bits(name, shape, dtype);
        if (bits % 8 != 0 || bits / 8 != length)
        {
            throw new FormatException(
                $"tensor '{name}' {dtype}{ShapeText.Of(shape)} needs {bits / 8.0} bytes, but its data_offsets span {length}");
        }

        return (offsets[0], offsets[1], new TensorInfo(name, dtype, shape, length));
    }

    private static long Bits(string name, long[] shape, SafetensorsDtype dtype)
    {
        try
        {
            return checked(shape.Aggregate(1L, (product, size) => checked(product * size)) * dtype.Bits());
        }
        catch (OverflowException exception)
        {
            throw new FormatException($"the size of tensor '{name}' {dtype}{ShapeText.Of(shape)} overflows", exception);
        }
    }

    private static long[] Numbers(string name, JsonElement entry, string key)
    {
        var list = Member(name, entry, key);
        if (list.ValueKind != JsonValueKind.Array)
        {
            throw new FormatException($"{key} of tensor '{name}' is {Kind(list)}; it must be a list of integers");
        }

        return [.. list.EnumerateArray().Select(item => Number(name, key, item))];
    }

    private static long Number(string name, string key, JsonElement item)
    {
        // GetRawText, because 1.0, 1e3 and -0 are numbers to JSON but not sizes.
        return item.ValueKind == JsonValueKind.Number && item.TryGetInt64(out var number) && item.GetRawText().All(char.IsAsciiDigit)
            ? number
            : throw new FormatException($"{key} of tensor '{name}' holds {Shorten(item.GetRawText())}; "
                + "it must be an integer from 0 to 2⁶³ − 1");
    }

    private static JsonElement Member(string name, JsonElement entry, string key) => entry.TryGetProperty(key, out var member)
        ? member
        : throw new FormatException($"tensor '{name}' has no {key}");

    private static void CheckContiguous(List<(long Begin, long End, TensorInfo Info)> entries)
    {
        var end = 0L;
        foreach (var entry in entries)
        {
            if (entry.Begin != end)
            {
                throw new FormatException(
                    $"the data of tensor '{entry.Info.Name}' begins at {entry.Begin}, but what precedes it ends at {end}: "
                    + (entry.Begin < end ? "tensors must not overlap" : "there must be no holes"));
            }

            end = entry.End;
        }
    }

    private static string Kind(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        _ => Shorten(element.GetRawText()),
    };

    private static string Shorten(string text) => text.Length <= 40 ? text : string.Concat(text.AsSpan(0, 40), "…");
}
