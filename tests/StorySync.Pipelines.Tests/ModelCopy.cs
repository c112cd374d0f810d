using System.Text.Json.Nodes;
using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests;

/// <summary>A copy of a model of the reference, in which files can be changed. Weights are links.</summary>
internal sealed class ModelCopy : IDisposable
{
    private readonly TemporaryFolder folder = new();

    /// <param name="model">Its name in the reference, or its folder.</param>
    /// <param name="copiesWeights">Whether weights are copied too.</param>
    public ModelCopy(string model, bool copiesWeights = false)
    {
        var root = Directory.Exists(model) ? model : ReferenceData.PathOf($"models/{model}");
        foreach (var file in Directory.EnumerateFiles(root, "*", SearchOption.AllDirectories))
        {
            var copy = folder.PathOf(System.IO.Path.GetRelativePath(root, file).Replace('\\', '/'));
            if (file.EndsWith(".safetensors", StringComparison.Ordinal) && !copiesWeights)
            {
                File.CreateSymbolicLink(copy, file);
            }
            else
            {
                File.WriteAllBytes(copy, File.ReadAllBytes(file));
            }
        }
    }

    public string Path => folder.Path;

    public string PathOf(string file) => folder.PathOf(file);

    /// <summary>Sets an entry of a JSON file; a value of null stands for JSON's null.</summary>
    public ModelCopy Set(string file, string key, JsonNode? value) => Change(file, root => root[key] = value);

    public ModelCopy Remove(string file, string key) => Change(file, root => root.Remove(key));

    public ModelCopy Write(string file, string content)
    {
        folder.Write(file, content);
        return this;
    }

    public ModelCopy Delete(string file)
    {
        File.Delete(PathOf(file));
        return this;
    }

    public void Dispose() => folder.Dispose();

    private ModelCopy Change(string file, Action<JsonObject> change)
    {
        var root = JsonNode.Parse(File.ReadAllText(PathOf(file)))!.AsObject();
        change(root);
        return Write(file, root.ToJsonString());
    }
}
