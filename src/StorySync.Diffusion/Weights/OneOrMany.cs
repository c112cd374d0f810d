using System.Collections;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace StorySync.Diffusion.Weights;

/// <summary>A config entry that is one value for every block or a list with a value for each.</summary>
/// <typeparam name="T">The type of a value.</typeparam>
[JsonConverter(typeof(OneOrManyConverter))]
public readonly struct OneOrMany<T> : IEquatable<OneOrMany<T>>, IOneOrMany
{
    private readonly T[]? values;
    private readonly bool isList;

    private OneOrMany(T[] values, bool isList)
    {
        this.values = values;
        this.isList = isList;
    }

    /// <summary>Gets the values as they stand: one, or those of the list.</summary>
    public IReadOnlyList<T> Values => values ?? [];

    IEnumerable IOneOrMany.Items => Values;

    /// <summary>Gets a value indicating whether there is a list, so that each block has a value of its own.</summary>
    public bool IsList => isList;

    /// <summary>Gets the value of a block.</summary>
    /// <param name="block">The block, from 0.</param>
    /// <exception cref="IndexOutOfRangeException">There is a list, and it is shorter.</exception>
    public T this[int block] => Values[isList ? block : 0];

    /// <summary>One value for every block.</summary>
    public static implicit operator OneOrMany<T>(T value) => new([value], isList: false);

    /// <summary>A value for each block.</summary>
    public static implicit operator OneOrMany<T>(T[] values) => new([.. values], isList: true);

    /// <summary>Returns the values of all blocks: the list, or the one value as often as needed.</summary>
    /// <param name="blocks">The number of blocks.</param>
    /// <exception cref="ArgumentException">There is a list of another length.</exception>
    public IReadOnlyList<T> For(int blocks) => !isList ? Enumerable.Repeat(Values[0], blocks).ToArray()
        : Values.Count == blocks ? Values
        : throw new ArgumentException(
            $"The list [{string.Join(", ", Values)}] has {Values.Count} entries; there are {blocks} blocks.", nameof(blocks));

    /// <inheritdoc/>
    public bool Equals(OneOrMany<T> other) => isList == other.isList && Values.SequenceEqual(other.Values);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is OneOrMany<T> other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(isList, Values.Count, Values is [var first, ..] ? first : default);

    /// <summary>Whether both are the same value or equal lists.</summary>
    public static bool operator ==(OneOrMany<T> left, OneOrMany<T> right) => left.Equals(right);

    /// <summary>Whether they differ.</summary>
    public static bool operator !=(OneOrMany<T> left, OneOrMany<T> right) => !left.Equals(right);
}

/// <summary>The values without their type.</summary>
internal interface IOneOrMany
{
    IEnumerable Items { get; }
}

internal sealed class OneOrManyConverter : JsonConverterFactory
{
    public override bool CanConvert(Type typeToConvert) =>
        typeToConvert.IsGenericType && typeToConvert.GetGenericTypeDefinition() == typeof(OneOrMany<>);

    public override JsonConverter CreateConverter(Type typeToConvert, JsonSerializerOptions options) =>
        (JsonConverter)Activator.CreateInstance(typeof(Converter<>).MakeGenericType(typeToConvert.GetGenericArguments()))!;

    private sealed class Converter<T> : JsonConverter<OneOrMany<T>>
    {
        // The converter of T is called itself: a nested call of the serializer would lose the path to the entry in its errors.
        public override OneOrMany<T> Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        {
            var converter = (JsonConverter<T>)options.GetConverter(typeof(T));
            if (reader.TokenType != JsonTokenType.StartArray)
            {
                return converter.Read(ref reader, typeof(T), options)!;
            }

            var values = new List<T>();
            while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
            {
                values.Add(converter.Read(ref reader, typeof(T), options)!);
            }

            return values.ToArray();
        }

        public override void Write(Utf8JsonWriter writer, OneOrMany<T> value, JsonSerializerOptions options)
        {
            if (value.IsList)
            {
                JsonSerializer.Serialize(writer, value.Values, options);
            }
            else
            {
                JsonSerializer.Serialize(writer, value[0], options);
            }
        }
    }
}
