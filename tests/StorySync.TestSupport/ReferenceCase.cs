using System.Text.Json;
using StorySync.Diffusion.Weights;
using static TorchSharp.torch;

namespace StorySync.TestSupport;

/// <summary>One case of the reference: inputs, and outputs with their tolerances.</summary>
public sealed class ReferenceCase(string root, JsonElement entry)
{
    public string Name { get; } = entry.GetProperty("name").GetString()!;

    public string Group { get; } = entry.GetProperty("group").GetString()!;

    /// <summary>The library call that made it, for example <c>diffusers.UNet2DConditionModel(…)</c>.</summary>
    public string Call { get; } = entry.GetProperty("call").GetString()!;

    /// <summary>The model's path in the reference folder; empty when the case has none.</summary>
    public string Model { get; } = entry.GetProperty("model").GetString()!;

    public JsonElement Params { get; } = entry.GetProperty("params");

    public JsonElement Files { get; } = entry.TryGetProperty("files", out var files) ? files : default;

    /// <summary>The outputs in the order of the forward pass, with the largest error allowed (0 for integers).</summary>
    public IReadOnlyList<(string Name, double Tolerance)> Outputs { get; } =
        [.. entry.GetProperty("outputs").EnumerateObject().Select(o => (o.Name, Tolerance(o.Value)))];

    public IReadOnlyList<string> InputNames { get; } = [.. entry.GetProperty("inputs").EnumerateObject().Select(i => i.Name)];

    /// <summary>The model's folder.</summary>
    public string ModelPath => PathOf(Model);

    public string PathOf(string relative) => Path.Combine(root, relative.Replace('/', Path.DirectorySeparatorChar));

    /// <summary>The tensors of the case, inputs and outputs.</summary>
    public SafetensorsFile OpenTensors() => SafetensorsFile.Open(PathOf(entry.GetProperty("file").GetString()!));

    public override string ToString() => Name;

    private static double Tolerance(JsonElement output) => output.TryGetProperty("tolerance", out var tolerance) ? tolerance.GetDouble()
        : 0;
}
