using StorySync.Diffusion.Weights;
using StorySync.TestSupport;

namespace StorySync.Diffusion.Tests.Weights;

public class JsonFileTests
{
    [Fact]
    public void Numbers_that_only_Python_writes_are_read_as_strings_and_texts_stay()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("c.json", """
            {"low": -Infinity, "high": Infinity, "none": NaN, "text": "NaN or \"Infinity\"", "list": [NaN, 1]}
            """);

        var values = JsonFile.Read(path, root => root.EnumerateObject().Select(entry => entry.Value.ToString()).ToArray());

        Assert.Equal(["-Infinity", "Infinity", "NaN", "NaN or \"Infinity\"", """["NaN", 1]"""], values);
    }

    [Theory]
    [InlineData("""{"only": Infinity}""", "Infinity")]
    [InlineData("""{"only": NaN}""", "NaN")]
    public void One_kind_of_them_is_enough(string json, string value)
    {
        using var folder = new TemporaryFolder();
        Assert.Equal(value, JsonFile.Read(folder.Write("c.json", json), root => root.GetProperty("only").GetString()));
    }

    [Fact]
    public void The_place_of_a_fault_is_counted_from_1()
    {
        using var folder = new TemporaryFolder();
        var path = folder.Write("c.json", "{\n  \"a\": }");

        var message = Assert.Throws<ModelFileException>(() => JsonFile.Read(path, root => 0)).Message;

        Assert.StartsWith($"{path}: no valid JSON in line 2, byte 8: ", message, StringComparison.Ordinal);
        Assert.DoesNotContain("LineNumber", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("c.json")]
    [InlineData("no/such/folder/c.json")]
    public void What_is_missing_is_named(string name)
    {
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, name);
        Assert.Equal($"{path}: there is no such file", Assert.Throws<ModelFileException>(() => JsonFile.Read(path, root => 0)).Message);
    }
}
