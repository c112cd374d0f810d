using System.Globalization;
using System.Text.Json;
using StorySync.Diffusion.Weights;
using StorySync.Pipelines;
using static TorchSharp.torch;

namespace StorySync.Benchmarks.Attack;

/// <summary>Files of each kind that the library writes, in versions: whoever finds one can tell whether it is whole.</summary>
internal static class Outputs
{
    private const int Side = 96;
    private static readonly Action<string, int>[] Writers =
    [
        (folder, version) => Image(version).SavePng(Path.Combine(folder, "image.png")),
        (folder, version) => Image(version).Save(Path.Combine(folder, "image.webp"), 100),
        WriteWeights,
        (folder, version) => new CheckpointShapes(new Dictionary<string, IReadOnlyList<long>>
        {
            ["w"] = [.. Enumerable.Repeat((long)version, 1 + (version * 1000))],
        }).Save(Path.Combine(folder, "manifest.json")),
    ];

    public static int Kinds => Writers.Length;

    public static void Write(string folder, int version)
    {
        foreach (var write in Writers)
        {
            write(folder, version);
        }
    }

    public static void Write(string folder, int kind, int version) => Writers[kind](folder, version);

    /// <summary>Checks that every file has one version, whole.</summary>
    /// <returns>The number of files under temporary names.</returns>
    public static int Check(string folder)
    {
        var image = RgbImage.Load(Path.Combine(folder, "image.png")).Pixels;
        Ending.Require(!image.ContainsAnyExcept(image[0]), "The PNG file has several versions.");
        image = RgbImage.Load(Path.Combine(folder, "image.webp")).Pixels;
        Ending.Require(!image.ContainsAnyExcept(image[0]), "The WebP file has several versions.");
        using (var file = SafetensorsFile.Open(Path.Combine(folder, "weights.safetensors")))
        {
            using var scope = NewDisposeScope();
            var version = int.Parse(file.Metadata["version"], CultureInfo.InvariantCulture);
            Ending.Require(file.Read("w").eq(tensor((float)version)).all().item<bool>(), "The safetensors file has several versions.");
        }

        var manifest = JsonSerializer.Deserialize<Dictionary<string, long[]>>(
            File.ReadAllText(Path.Combine(folder, "manifest.json")))!["w"];
        Ending.Require(manifest.All(value => value == manifest[0]) && manifest.Length == 1 + (manifest[0] * 1000),
            "The manifest has several versions.");
        return Directory.GetFiles(folder).Length - Kinds;
    }

    private static RgbImage Image(int version)
    {
        var pixels = new byte[Side * Side * 3];
        Array.Fill(pixels, (byte)version);
        return new RgbImage(Side, Side, pixels);
    }

    private static void WriteWeights(string folder, int version)
    {
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(
            Path.Combine(folder, "weights.safetensors"),
            new Dictionary<string, Tensor> { ["w"] = full(1 + (version * 1000), (float)version) },
            new Dictionary<string, string> { ["version"] = version.ToString(CultureInfo.InvariantCulture) });
    }
}
