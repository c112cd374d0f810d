using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Attention.Tests;

/// <summary>The operators against the float64 cases of the reference, in float64 and float32.</summary>
public class MethodReferenceTests
{
    public static TheoryData<string, ScalarType> Cases()
    {
        var data = new TheoryData<string, ScalarType>();
        foreach (var name in MethodCase.Names(_ => true))
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
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var methodCase = MethodCase.Open(name, dtype);
        var results = Compute(methodCase);

        foreach (var output in methodCase.Outputs)
        {
            Assert.True(results.TryGetValue(output, out var actual), $"{output} was not computed.");
            methodCase.Check(output, actual);
        }
    }

    private static Dictionary<string, Tensor> Compute(MethodCase c)
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
}
