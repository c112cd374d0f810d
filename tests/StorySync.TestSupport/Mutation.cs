using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace StorySync.TestSupport;

/// <summary>Damages files. Part of the benchmarks too.</summary>
public static class Mutation
{
    private const string Placeholder = "placeholder-of-the-value";

    private static readonly string[] Values =
    [
        "null", "true", "false", "0", "-0", "-1", "1", "2", "3", "5", "7", "64", "4096", "2147483647", "2147483648", "-2147483648",
        "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551615", "1e308", "1e400", "-1e400", "-1e-308", "1e-400",
        "0.5", "-0.5", "1.0", "NaN", "Infinity", "\"\"", "\"x\"", "\"silu\"", "\"NaN\"", "\"\\ud800\"", "\"\\u0000\"", "\"../../x\"",
        "[]", "[1]", "[null]", "[[2, 1], 3]", "[1e9, 2]", "[0, 0]", "[-1, 4]", "{}", "{\"content\": 3}",
        new string('[', 70) + new string(']', 70),
    ];

    /// <summary>Changes one to three places of any file.</summary>
    public static byte[] Bytes(ReadOnlySpan<byte> bytes, Random random)
    {
        var result = new List<byte>(bytes.ToArray());
        for (var changes = random.Next(1, 4); changes > 0 && result.Count > 0; changes--)
        {
            var at = random.Next(result.Count);
            switch (random.Next(7))
            {
                case 0:
                    result[at] = (byte)random.Next(256);
                    break;
                case 1:
                    result.RemoveRange(at, Math.Min(random.Next(1, 20), result.Count - at));
                    break;
                case 2:
                    result.InsertRange(at, result.GetRange(random.Next(result.Count), 1));
                    break;
                case 3:
                    result[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 4:
                    var from = random.Next(result.Count);
                    result.InsertRange(at, result.GetRange(from, Math.Min(random.Next(1, 40), result.Count - from)));
                    break;
                case 5:
                    Overwrite(result, at, random);
                    break;
                default:
                    result.RemoveRange(at, result.Count - at);
                    break;
            }
        }

        return [.. result];
    }

    /// <summary>Changes one or two entries of a JSON file, and leaves it JSON for the most part.</summary>
    public static byte[] Json(byte[] bytes, Random random)
    {
        if (JsonNode.Parse(bytes) is not { } root)
        {
            return bytes;
        }

        var texts = new List<string>();
        for (var changes = random.Next(1, 3); changes > 0; changes--)
        {
            Change(root, random, texts);
        }

        var text = root.ToJsonString(new JsonSerializerOptions { MaxDepth = 256 });
        for (var i = 0; i < texts.Count; i++)
        {
            text = text.Replace($"\"{Placeholder}{i}\"", texts[i], StringComparison.Ordinal);
        }

        return Encoding.UTF8.GetBytes(text);
    }

    /// <summary>Damages a file as JSON, or as bytes.</summary>
    public static byte[] JsonOrBytes(byte[] bytes, Random random) => random.Next(2) == 0 ? Json(bytes, random) : Bytes(bytes, random);

    /// <summary>Damages a safetensors file: an entry of its header, its bytes, or the length of the header.</summary>
    public static byte[] Safetensors(byte[] bytes, Random random)
    {
        const int Prefix = sizeof(ulong);
        var end = Prefix + (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        switch (random.Next(8))
        {
            case 0:
                return Bytes(bytes, random);
            case 1:
                return [.. Bytes(bytes.AsSpan(0, end), random), .. bytes.AsSpan(end)];
            case 2:
                return [.. bytes.AsSpan(0, end), .. Bytes(bytes.AsSpan(end), random)];
            case 4 when bytes.Length > end:
                var values = bytes.ToList();
                Overwrite(values, random.Next(end, bytes.Length), random);
                return [.. values];
            case 3:
                var length = bytes.ToArray();
                BinaryPrimitives.WriteInt64LittleEndian(length, random.Next(3) switch
                {
                    0 => end - Prefix + random.Next(-9, 10),
                    1 => random.NextInt64(),
                    _ => random.Next(2 * bytes.Length),
                });
                return length;
            default:
                var header = Json(bytes[Prefix..end], random);
                var result = new byte[Prefix + header.Length + bytes.Length - end];
                BinaryPrimitives.WriteUInt64LittleEndian(result, (ulong)header.Length);
                header.CopyTo(result, Prefix);
                bytes.AsSpan(end).CopyTo(result.AsSpan(Prefix + header.Length));
                return result;
        }
    }

    private static void Overwrite(List<byte> bytes, int at, Random random)
    {
        Span<byte> number = stackalloc byte[sizeof(int)];
        int[] numbers = [0, -1, int.MaxValue, int.MinValue, bytes.Count, 0x7FC00000, 0x7F800000];
        BinaryPrimitives.WriteInt32LittleEndian(number, numbers[random.Next(numbers.Length)]);
        if (random.Next(2) == 0)
        {
            number.Reverse();
        }

        for (var i = 0; i < number.Length && at + i < bytes.Count; i++)
        {
            bytes[at + i] = number[i];
        }
    }

    private static void Change(JsonNode root, Random random, List<string> texts)
    {
        var places = new List<(JsonNode Parent, object Key)>();
        Collect(root, places);
        if (places.Count == 0)
        {
            return;
        }

        var (parent, key) = places[random.Next(places.Count)];
        var value = Take(parent, key);
        switch (random.Next(7))
        {
            case 0:
                break;
            case 1 when parent is JsonObject entries:
                entries[key + "x"] = value;
                break;
            case 2:
                var (other, otherKey) = places[random.Next(places.Count)];
                Put(parent, key, (other == parent && Equals(otherKey, key) ? value : At(other, otherKey))?.DeepClone());
                break;
            case 3 or 4 when value is JsonValue inner && inner.TryGetValue<string>(out var words) && words.StartsWith('{'):
                Put(parent, key, Encoding.UTF8.GetString(Json(Encoding.UTF8.GetBytes(words), random)));
                break;
            case 3 or 4 when value is JsonValue number && number.TryGetValue<long>(out var whole):
                long[] near = [whole + 1, whole - 1, unchecked(whole * 2), whole / 2, -whole, whole + 8, whole - 8];
                Put(parent, key, near[random.Next(near.Length)]);
                break;
            default:
                Put(parent, key, string.Create(CultureInfo.InvariantCulture, $"{Placeholder}{texts.Count}"));
                texts.Add(Values[random.Next(Values.Length)]);
                break;
        }
    }

    private static void Collect(JsonNode? node, List<(JsonNode Parent, object Key)> places)
    {
        switch (node)
        {
            case JsonObject entries:
                foreach (var (key, value) in entries)
                {
                    places.Add((node, key));
                    Collect(value, places);
                }

                break;
            case JsonArray items:
                for (var i = 0; i < items.Count; i++)
                {
                    places.Add((node, i));
                    Collect(items[i], places);
                }

                break;
        }
    }

    private static JsonNode? At(JsonNode parent, object key) => key switch
    {
        string name => parent.AsObject().TryGetPropertyValue(name, out var value) ? value : null,
        _ => parent.AsArray() is var items && (int)key < items.Count ? items[(int)key] : null,
    };

    private static JsonNode? Take(JsonNode parent, object key)
    {
        var value = At(parent, key);
        if (key is string name)
        {
            parent.AsObject().Remove(name);
        }
        else
        {
            parent.AsArray().RemoveAt((int)key);
        }

        return value;
    }

    private static void Put(JsonNode parent, object key, JsonNode? value)
    {
        if (key is string name)
        {
            parent.AsObject()[name] = value;
        }
        else
        {
            parent.AsArray().Insert((int)key, value);
        }
    }
}
