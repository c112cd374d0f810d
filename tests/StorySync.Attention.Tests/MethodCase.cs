using System.Text.Json;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests;

/// <summary>A float64 case of the method's reference, its numbers in the dtype that is to be tested.</summary>
internal sealed class MethodCase : IDisposable
{
    private const string FileName = "method.json";

    // The method as it is published, and what goes beyond: who reads whom, and placement.
    private static readonly string[] Folders = ["method", "method-bank"];

    private readonly SafetensorsFile file;
    private readonly JsonElement entry;
    private readonly ScalarType dtype;

    private MethodCase(SafetensorsFile file, JsonElement entry, ScalarType dtype) =>
        (this.file, this.entry, this.dtype) = (file, entry, dtype);

    public string Name => entry.GetProperty("name").GetString()!;

    public string Op => entry.GetProperty("op").GetString()!;

    public IEnumerable<string> Outputs => entry.GetProperty("outputs").EnumerateArray().Select(output => output.GetString()!);

    /// <summary>The names of the cases whose operator is wanted, as rows of a theory (see <see cref="ReferenceData.Rows"/>).</summary>
    public static IEnumerable<string> Names(Func<string, bool> wanted) => ReferenceData.Rows(
        from folder in Folders
        from file in ReferenceData.FileNames(folder)
        where file.Data == FileName
        from entry in Entries(folder)
        where wanted(entry.GetProperty("op").GetString()!)
        select entry.GetProperty("name").GetString()!).Select(row => row.Data);

    /// <summary>Opens a case; skips the running test when there is no reference data.</summary>
    public static MethodCase Open(string name, ScalarType dtype = ScalarType.Float64)
    {
        var (folder, found) = (
            from candidate in Folders
            from entry in Entries(candidate)
            where entry.GetProperty("name").GetString() == name
            select (candidate, entry)).Single();
        return new MethodCase(SafetensorsFile.Open(ReferenceData.PathOf($"{folder}/method.safetensors")), found, dtype);
    }

    public bool Has(string input) => file.Tensors.ContainsKey(NameOf(input));

    public Tensor Raw(string input) => file.Read(NameOf(input));

    public Tensor Values(string input) => Raw(input).to_type(dtype);

    public Tensor Flags(string input) => Raw(input).ne(0);

    public double Number(string parameter) => Params.GetProperty(parameter) is { ValueKind: JsonValueKind.Number } number
        ? number.GetDouble() : double.PositiveInfinity;

    public bool Flag(string parameter) => Params.GetProperty(parameter).GetBoolean();

    public bool HasParameter(string parameter) => Params.TryGetProperty(parameter, out _);

    /// <summary>Who reads whom, as the operators take it; null if the case has no such relation.</summary>
    public Func<int, int, bool>? Reads()
    {
        if (!Has("reads"))
        {
            return null;
        }

        var (reads, images) = (Flags("reads").data<bool>().ToArray(), (int)Raw("reads").shape[0]);
        return (image, other) => reads[(image * images) + other];
    }

    public void Check(string output, Tensor actual)
    {
        var expected = Raw(output);
        Assert.Equal(expected.shape, actual.shape);
        var error = expected.numel() == 0 ? 0 : (actual.to(float64) - expected.to(float64)).abs().max().item<double>();
        var tolerance = expected.dtype != ScalarType.Float64 ? 0 : dtype == ScalarType.Float64 ? 1e-12 : 5e-6;
        Assert.True(error <= tolerance, $"{output} is off by {error}, allowed is {tolerance}.");
    }

    public void Dispose() => file.Dispose();

    private JsonElement Params => entry.GetProperty("params");

    private static JsonElement[] Entries(string folder) => [.. ReferenceData.Json($"{folder}/{FileName}").EnumerateArray()];

    private string NameOf(string tensor) => $"{Name}/{tensor}";
}
