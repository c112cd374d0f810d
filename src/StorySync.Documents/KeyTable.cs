using System.Collections;
using System.Text.Json.Nodes;

namespace StorySync.Documents;

/// <summary>The keys of a mapping in a document, in order, each with what it means and the schema of its value.</summary>
/// <param name="required">The keys that it must have.</param>
internal sealed class KeyTable(params string[] required) : IEnumerable
{
    private readonly List<string> names = [];
    private readonly JsonObject properties = [];

    public IReadOnlyList<string> Names => names;

    public void Add(string name, string description, JsonObject schema)
    {
        schema.Insert(0, "description", description);
        properties.Add(name, schema);
        names.Add(name);
    }

    /// <summary>The JSON Schema of the mapping.</summary>
    public JsonObject ToSchema()
    {
        var schema = new JsonObject();
        AddTo(schema);
        return schema;
    }

    /// <summary>Adds the JSON Schema of the mapping to one that has begun.</summary>
    public void AddTo(JsonObject schema)
    {
        schema["type"] = "object";
        schema["additionalProperties"] = false;
        schema["required"] = new JsonArray([.. required]);
        schema["properties"] = properties.DeepClone();
    }

    public IEnumerator GetEnumerator() => names.GetEnumerator();
}
