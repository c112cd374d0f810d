using System.Text.Json;
using StorySync.Pipelines;
using StorySync.TestSupport;

namespace StorySync.Documents.Tests;

/// <summary>The schema, the types and the reader know the same keys.</summary>
public class StorySchemaTests
{
    private static readonly string Published = Path.Combine(
        ReferenceData.RepositoryRoot, "samples", "StoryStrip", "Stories", "story.schema.json");

    /// <summary>With STORYSYNC_WRITE_SCHEMA=1 the file is written.</summary>
    [Fact]
    public void The_published_schema_is_the_generated_one()
    {
        if (Environment.GetEnvironmentVariable("STORYSYNC_WRITE_SCHEMA") == "1")
        {
            File.WriteAllText(Published, StoryFile.JsonSchema);
        }

        Assert.Equal(File.ReadAllText(Published), StoryFile.JsonSchema);
    }

    public static TheoryData<string, Type, string[]> Types() => new()
    {
        { "", typeof(StoryFile), ["JsonSchema"] },
        { "character", typeof(Character), ["Name"] },
        { "scene", typeof(StoryFileScene), ["Place"] },
        { "line", typeof(StoryFileLine), [] },
    };

    [Theory]
    [MemberData(nameof(Types))]
    public void Every_property_of_a_type_is_a_key_and_every_key_a_property(string definition, Type type, string[] others)
    {
        using var schema = JsonDocument.Parse(StoryFile.JsonSchema);
        var own = definition.Length == 0 ? schema.RootElement : schema.RootElement.GetProperty("$defs").GetProperty(definition);
        Assert.Equal(
            type.GetProperties().Select(property => property.Name).Except(others).Select(JsonNamingPolicy.CamelCase.ConvertName).Order(),
            own.GetProperty("properties").EnumerateObject().Select(property => property.Name).Where(name => name[0] != '$').Order());
    }

    [Fact]
    public void Every_key_is_described_and_read()
    {
        using var schema = JsonDocument.Parse(StoryFile.JsonSchema);
        var definitions = schema.RootElement.GetProperty("$defs");
        AssertRead(schema.RootElement, "a: 1");
        AssertRead(definitions.GetProperty("scene"), "scenes: [{a: 1}]");
        AssertRead(definitions.GetProperty("box").GetProperty("oneOf")[1], "scenes: [{prompt: b, regions: {b: {a: 1}}}]");
        AssertRead(definitions.GetProperty("character"), "cast: {Mia: {a: 1}}\nscenes: [Mia]");
        AssertRead(definitions.GetProperty("line"), "scenes: [{prompt: b, dialogue: [{a: 1}]}]");

        static void AssertRead(JsonElement type, string text)
        {
            var keys = type.GetProperty("properties").EnumerateObject().ToList();
            Assert.All(keys, key => Assert.EndsWith(".", key.Value.GetProperty("description").GetString()));
            var fault = Assert.Throws<DocumentException>(() => StoryFile.Parse(text)).Message;
            Assert.EndsWith($"known are {string.Join(", ", keys.Select(key => key.Name))}.", fault);
        }
    }

    [Fact]
    public void Its_references_lead_somewhere()
    {
        using var schema = JsonDocument.Parse(StoryFile.JsonSchema);
        var defined = schema.RootElement.GetProperty("$defs").EnumerateObject().Select(own => $"#/$defs/{own.Name}").ToHashSet();
        Assert.Equal(defined, References(schema.RootElement).ToHashSet());

        static IEnumerable<string> References(JsonElement element) => element.ValueKind switch
        {
            JsonValueKind.Object => element.EnumerateObject().SelectMany(own =>
                own.NameEquals("$ref") ? [own.Value.GetString()!] : References(own.Value)),
            JsonValueKind.Array => element.EnumerateArray().SelectMany(References),
            _ => [],
        };
    }
}
