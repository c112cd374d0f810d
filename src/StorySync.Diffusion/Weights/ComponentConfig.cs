using System.Collections;
using System.ComponentModel.DataAnnotations;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace StorySync.Diffusion.Weights;

/// <summary>Reads the config files of diffusers and transformers into records.</summary>
/// <remarks>
/// A property <c>NormNumGroups</c> takes the entry <c>norm_num_groups</c>; another name is given by
/// <see cref="System.Text.Json.Serialization.JsonPropertyNameAttribute"/>. An entry that is missing or null leaves the property's
/// initial value, which is where a class's defaults stand. Entries that no property asks for are passed over. Validation attributes
/// (<see cref="RangeAttribute"/>, for example) hold for a property's value or, in a list, for each of its values.
/// </remarks>
public static class ComponentConfig
{
    private static readonly JsonSerializerOptions Options = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>Reads a config file.</summary>
    /// <typeparam name="T">The record.</typeparam>
    /// <param name="path">A <c>config.json</c> or <c>scheduler_config.json</c>.</param>
    /// <exception cref="ModelFileException">The file is missing or no JSON object, or an entry is of another kind or out of its range.</exception>
    public static T Read<T>(string path)
        where T : class => JsonFile.Read(path, root => Read<T>(path, root));

    private static T Read<T>(string path, JsonElement root)
        where T : class
    {
        var json = JsonObject.Create(root)!;
        RemoveNulls(json);
        T config;
        try
        {
            config = json.Deserialize<T>(Options)!;
        }
        catch (JsonException exception)
        {
            var key = exception.Path?.TrimStart('$', '.');
            throw new ModelFileException(path, string.IsNullOrEmpty(key) ? exception.Message
                : $"'{key}' is {Find(json, exception.Path!)}, which cannot be read: {FirstSentence(exception.Message)}", exception);
        }

        return Errors(config, "").FirstOrDefault() is { } error ? throw new ModelFileException(path, error) : config;
    }

    /// <summary>Null stands for the default, which the record has as its initial value.</summary>
    private static void RemoveNulls(JsonObject json)
    {
        foreach (var (key, value) in json.ToList())
        {
            if (value is null)
            {
                json.Remove(key);
            }
            else if (value is JsonObject inner)
            {
                RemoveNulls(inner);
            }
        }
    }

    private static IEnumerable<string> Errors(object config, string prefix)
    {
        foreach (var property in config.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance))
        {
            if (property.GetIndexParameters().Length > 0 || property.GetValue(config) is not { } value)
            {
                continue;
            }

            var key = prefix + (property.GetCustomAttribute<System.Text.Json.Serialization.JsonPropertyNameAttribute>()?.Name
                ?? JsonNamingPolicy.SnakeCaseLower.ConvertName(property.Name));
            foreach (var item in Items(value))
            {
                foreach (var rule in property.GetCustomAttributes<ValidationAttribute>())
                {
                    if (!rule.IsValid(item))
                    {
                        yield return $"'{key}' is {item}; {Demand(rule, key)}";
                    }
                }

                if (item.GetType() is { IsClass: true } type && type.Assembly == config.GetType().Assembly)
                {
                    foreach (var error in Errors(item, $"{key}."))
                    {
                        yield return error;
                    }
                }
            }
        }
    }

    private static IEnumerable<object> Items(object value) => value switch
    {
        string => [value],
        IEnumerable list => list.Cast<object>(),
        _ when value.GetType() is { IsGenericType: true } type && type.GetGenericTypeDefinition() == typeof(OneOrMany<>) =>
            Items(type.GetProperty(nameof(OneOrMany<>.Values))!.GetValue(value)!),
        _ => [value],
    };

    private static string Demand(ValidationAttribute rule, string key) => rule switch
    {
        RangeAttribute range => $"it must be from {range.Minimum} to {range.Maximum}",
        AllowedValuesAttribute allowed => $"it must be one of {string.Join(", ", allowed.Values)}",
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
