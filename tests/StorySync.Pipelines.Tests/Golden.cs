using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Values that diffusers and Pillow computed, with the scripts that made them next to the files.</summary>
internal sealed class Golden(string name) : IDisposable
{
    private readonly SafetensorsFile file = SafetensorsFile.Open(PathOf(name));

    public static string PathOf(string name) => Path.Combine(AppContext.BaseDirectory, "Golden", name);

    public IEnumerable<string> Names => file.Tensors.Keys;

    public Tensor this[string name] => file.Read(name);

    /// <summary>An image, (height, width, 3), or the luma of one, (height, width).</summary>
    public byte[] Bytes(string name)
    {
        using var tensor = file.Read(name);
        return [.. tensor.bytes];
    }

    public (int Height, int Width) Size(string name) => ((int)file.Tensors[name].Shape[0], (int)file.Tensors[name].Shape[1]);

    public void Dispose() => file.Dispose();
}
