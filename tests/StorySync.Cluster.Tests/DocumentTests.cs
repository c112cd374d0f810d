using System.Text.Json;
using StorySync.Pipelines;

namespace StorySync.Cluster.Tests;

public class DocumentTests
{
    [Fact]
    public void A_document_is_read_as_it_was_written()
    {
        var document = new StoryDocument
        {
            Model = "storybook",
            Story = new() { Subjects = ["a bear"], Scenes = [new("a bear standing") { Seed = 5 }, new("a bear waving")] },
            Options = new() { Anchors = 1, Request = new() { Steps = 2, Seed = 3 } },
        };
        var json = JsonSerializer.Serialize(document);
        Assert.Equal(json, JsonSerializer.Serialize(JsonSerializer.Deserialize<StoryDocument>(json)));
        Assert.Contains("\"a bear standing\"", json);
    }
}
