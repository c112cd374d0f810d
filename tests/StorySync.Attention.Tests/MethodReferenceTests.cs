using System.Text.Json;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests;

/// <summary>The operators against the float64 cases of the reference, in float64 and float32.</summary>
public class MethodReferenceTests
{
    private const string NoReference = "no reference data";

    public static TheoryData<string, ScalarType> Cases()
    {
        var data = new TheoryData<string, ScalarType>();
        if (ReferenceData.Root is null)
        {
            data.Add(NoReference, ScalarType.Float64);
            return data;
        }

        foreach (var name in Entries().Select(entry => entry.GetProperty("name").GetString()!))
        {
            data.Add(name, ScalarType.Float64);
            data.Add(name, ScalarType.Float32);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Operator_gives_the_reference_result(string name, ScalarType dtype)
    {
        ReferenceData.RequireRoot();
        var entry = Entries().Single(entry => entry.GetProperty("name").GetString() == name);
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(ReferenceData.PathOf("method/method.safetensors"));
        var results = Compute(new Case(file, entry, dtype));

        foreach (var output in entry.GetProperty("outputs").EnumerateArray().Select(output => output.GetString()!))
        {
            var expected = file.Read($"{name}/{output}");
            Assert.True(results.TryGetValue(output, out var actual), $"{output} was not computed.");
            Assert.Equal(expected.shape, actual.shape);
            var error = expected.numel() == 0 ? 0 : (actual.to(float64) - expected.to(float64)).abs().max().item<double>();
            var tolerance = expected.dtype != ScalarType.Float64 ? 0 : dtype == ScalarType.Float64 ? 1e-12 : 5e-6;
            Assert.True(error <= tolerance, $"{output} is off by {error}, allowed is {tolerance}.");
        }
    }

    private static Dictionary<string, Tensor> Compute(Case c)
    {
        switch (c.Op)
        {
            case "shared_attention":
            {
                bool[]? present = c.Has("present") ? [.. c.Flags("present").data<bool>()] : null;
                using var subjects = SubjectTokens.FromMasks(c.Flags("masks"), present);
                return Out(SharedAttention.Apply(
                    c.Values("q"), c.Values("k"), c.Values("v"), subjects, c.Number("strength"), c.Flag("subject_queries_only")));
            }

            case "shared_attention_multi":
            {
                var labels = c.Raw("labels");
                using var subjects = SubjectTokens.FromLabels(labels, (int)labels.max().item<long>());
                return Out(SharedAttention.Apply(c.Values("q"), c.Values("k"), c.Values("v"), subjects, c.Number("strength")));
            }

            case "harmonize":
            {
                using var subjects = SubjectTokens.FromMasks(c.Flags("masks"));
                return Out(Harmonization.Apply(
                    c.Values("features"),
                    subjects,
                    c.Has("hidden") ? c.Values("hidden") : null,
                    c.Number("alpha"),
                    c.Number("threshold"),
                    c.Number("temperature")));
            }

            case "interpolate_layout":
            {
                var weight = LayoutInterpolation.Weight(
                    (int)c.Number("step"), (int)c.Number("steps"), c.Number("start"), c.Number("end"), c.Number("until"));
                Assert.Equal(c.Number("weight"), weight, 1e-15);
                return Out(LayoutInterpolation.Apply(c.Values("q"), c.Values("q_base"), weight));
            }

            case "subject_mask":
            {
                var (map, mask) = SubjectMask.FromMaps(c.Values("maps"));
                return new() { ["map"] = map, ["mask"] = mask, ["threshold"] = Otsu.Threshold(map.view(1, -1)) };
            }

            case "resize_mask":
                return Out(MaskResize.Apply(c.Flags("mask"), (long)c.Number("height"), (long)c.Number("width")));

            default:
                throw new NotSupportedException($"The reference has an operator that these tests do not know: '{c.Op}'.");
        }

        static Dictionary<string, Tensor> Out(Tensor result) => new() { ["out"] = result };
    }

    private static JsonElement[] Entries()
    {
        using var document = JsonDocument.Parse(File.ReadAllText(ReferenceData.PathOf("method/method.json")));
        return [.. document.RootElement.Clone().EnumerateArray()];
    }

    private sealed class Case(SafetensorsFile file, JsonElement entry, ScalarType dtype)
    {
        public string Op { get; } = entry.GetProperty("op").GetString()!;

        public bool Has(string input) => file.Tensors.ContainsKey(NameOf(input));

        public Tensor Raw(string input) => file.Read(NameOf(input));

        public Tensor Values(string input) => Raw(input).to_type(dtype);

        public Tensor Flags(string input) => Raw(input).ne(0);

        public double Number(string parameter) => entry.GetProperty("params").GetProperty(parameter).GetDouble();

        public bool Flag(string parameter) => entry.GetProperty("params").GetProperty(parameter).GetBoolean();

        private string NameOf(string input) => $"{entry.GetProperty("name").GetString()}/{input}";
    }
}
