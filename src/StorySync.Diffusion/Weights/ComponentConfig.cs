using System.Collections;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;

namespace StorySync.Diffusion.Weights;

/// <summary>Reads the config files of diffusers and transformers into records, by the rules of
/// <see cref="ModelFolder.Config{T}(string, string)"/>.</summary>
internal static class ComponentConfig
{
    private static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        TypeInfoResolver = new DefaultJsonTypeInfoResolver(),
    };

    /// <summary>Reads a config file.</summary>
    /// <typeparam name="T">The record.</typeparam>
    /// <param name="path">A <c>config.json</c> or <c>scheduler_config.json</c>.</param>
    /// <exception cref="ModelFileException">The file is missing or no JSON object, or an entry is of another kind or out of its
    /// range.</exception>
    public static T Read<T>(string path)
        where T : class => Read<T>(FileContent.Read(path));

    /// <summary>As <see cref="Read{T}(string)"/>, from a file that is read already.</summary>
    public static T Read<T>(FileContent file)
        where T : class => JsonFile.Read(file, root => Read<T>(file.Path, JsonObject.Create(root)!));

    /// <summary>As <see cref="Read{T}(string)"/>, from entries that are parsed already.</summary>
    internal static T Read<T>(string path, JsonObject json)
        where T : class
    {
        var type = Options.GetTypeInfo(typeof(T));
        RemoveNulls(json, type);
        T config;
        try
        {
            config = (T)json.Deserialize(type)!;
        }
        catch (JsonException exception)
        {
            var key = exception.Path?.TrimStart('$', '.');
            throw new ModelFileException(path, string.IsNullOrEmpty(key) ? exception.Message
                : $"'{key}' is {Find(json, exception.Path!)}, which cannot be read: {FirstSentence(exception.Message)}", exception);
        }

        return Errors(config).FirstOrDefault() is { } error ? throw new ModelFileException(path, error) : config;
    }

    /// <summary>The entries of a config that differ from those of its type's initial values.</summary>
    internal static JsonObject WithoutDefaults(object config)
    {
        var type = config.GetType();
        var (own, initial) = (JsonSerializer.SerializeToNode(config, type, Options)!.AsObject(),
            JsonSerializer.SerializeToNode(Activator.CreateInstance(type), type, Options)!.AsObject());
        return new JsonObject(own.Where(entry => !JsonNode.DeepEquals(entry.Value, initial[entry.Key]))
            .Select(entry => KeyValuePair.Create(entry.Key, entry.Value?.DeepClone())));
    }

    private static void RemoveNulls(JsonObject json, JsonTypeInfo type)
    {
        foreach (var property in type.Properties)
        {
            if (!json.TryGetPropertyValue(property.Name, out var value))
            {
                continue;
            }

            if (value is null && (property.PropertyType == typeof(bool) || property.PropertyType == typeof(OneOrMany<bool>)))
            {
                json[property.Name] = false;
            }
            else if (value is null && !AllowsNull(property))
            {
                json.Remove(property.Name);
            }
            else if (value is JsonObject inner && Options.GetTypeInfo(property.PropertyType) is { Kind: JsonTypeInfoKind.Object } innerType)
            {
                RemoveNulls(inner, innerType);
            }
        }
    }

    private static bool AllowsNull(JsonPropertyInfo property) => property.PropertyType.IsValueType
        ? Nullable.GetUnderlyingType(property.PropertyType) is not null
        : property.IsSetNullable;

    /// <summary>What the validation attributes have against a config.</summary>
    internal static IEnumerable<string> Errors(object config) => Errors(config, Options.GetTypeInfo(config.GetType()), "");

    private static IEnumerable<string> Errors(object config, JsonTypeInfo type, string prefix)
    {
        foreach (var property in type.Properties)
        {
            if (property.Get?.Invoke(config) is not { } value)
            {
                continue;
            }

            var key = prefix + property.Name;
            var rules = property.AttributeProvider?.GetCustomAttributes(typeof(ValidationAttribute), inherit: true)
                .Cast<ValidationAttribute>() ?? [];
            if (rules.OfType<MaxLengthAttribute>().FirstOrDefault() is { } most && Items(value).Count() > most.Length)
            {
                yield return $"'{key}' has {Items(value).Count()} entries; it must have at most {most.Length}";
                continue;
            }

            foreach (var (item, rule) in Items(value).SelectMany(_ => rules.Where(rule => rule is not MaxLengthAttribute), (item, rule) =>
                (item, rule)))
            {
                if (!IsValid(rule, item))
                {
                    yield return string.Create(CultureInfo.InvariantCulture, $"'{key}' is {item}; {Demand(rule, key)}");
                }
            }

            if (Options.GetTypeInfo(property.PropertyType) is { Kind: JsonTypeInfoKind.Object } innerType)
            {
                foreach (var error in Errors(value, innerType, $"{key}."))
                {
                    yield return error;
                }
            }
        }
    }

    /// <summary>Compares as floating-point numbers, because RangeAttribute rounds what it compares to the type of its bounds.</summary>
    private static bool IsValid(ValidationAttribute rule, object value) => rule is RangeAttribute range && value is IConvertible
        ? Number(value) >= Number(range.Minimum) && Number(value) <= Number(range.Maximum)
        : rule.IsValid(value);

    private static double Number(object value) => Convert.ToDouble(value, CultureInfo.InvariantCulture);

    /// <summary>The single values of an entry, those of nested lists among them.</summary>
    internal static IEnumerable<object> Items(object? value) => value switch
    {
        null => [],
        string => [value],
        IOneOrMany many => many.Items.Cast<object>().SelectMany(Items),
        IEnumerable list => list.Cast<object>(),
        _ => [value],
    };

    /// <summary>The entry that a property takes.</summary>
    internal static string KeyOf(System.Reflection.PropertyInfo property) => JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name);

    private static string Demand(ValidationAttribute rule, string key) => rule switch
    {
        RangeAttribute range => string.Create(CultureInfo.InvariantCulture, $"it must be from {range.Minimum} to {range.Maximum}"),
        AllowedValuesAttribute allowed => $"it must be one of {string.Join(", ", allowed.Values)}",
        DeniedValuesAttribute denied => $"it must not be {string.Join(" or ", denied.Values)}",
        _ => rule.FormatErrorMessage(key),
    };

    private static string Find(JsonObject json, string path)
    {
        JsonNode? node = json;
        foreach (var key in path.Split('.').Skip(1))
        {
            node = (node as JsonObject)?[key.Split('[')[0]] ?? node;
        }

        return node?.ToJsonString() ?? "null";
    }

    private static string FirstSentence(string message) => message.Split(" Path: ")[0];
}
