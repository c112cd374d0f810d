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
        Check(methodCase, Compute(methodCase));
    }

    /// <summary>float32 on the CPU has kernels of its own, so that the path of a device needs another way to be seen.</summary>
    [Theory]
    [MemberData(nameof(SharedCases))]
    public void Gathering_gives_the_reference_result_in_float32(string name)
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        using var c = MethodCase.Open(name, ScalarType.Float32);
        using var subjects = Subjects(c);
        Check(c, Out(c.Op == "harmonize"
            ? Harmonization.Apply(
                c.Values("features").to(float64),
                subjects,
                c.Has("hidden") ? c.Values("hidden") : c.Values("features"),
                c.Number("alpha"),
                c.Number("threshold"),
                c.Number("temperature"))
            : SharedAttention.Apply(
                Apart(c.Values("q")), Apart(c.Values("k")), Apart(c.Values("v")), subjects, c.Number("strength"), OnlySubjects(c))));

        // No kernel reads heads whose channels lie apart.
        static Tensor Apart(Tensor x) => x.transpose(2, 3).contiguous().transpose(2, 3);
    }

    public static TheoryData<string> SharedCases() => [.. MethodCase.Names(op => op is "shared_attention" or "harmonize")];

    private static void Check(MethodCase c, Dictionary<string, Tensor> results)
    {
        foreach (var output in c.Outputs)
        {
            Assert.True(results.TryGetValue(output, out var actual), $"{output} was not computed.");
            c.Check(output, actual);
        }
    }

    private static bool OnlySubjects(MethodCase c) => !c.HasParameter("subject_queries_only") || c.Flag("subject_queries_only");

    private static SubjectTokens Subjects(MethodCase c)
    {
        if (c.Has("labels"))
        {
            var labels = c.Raw("labels");
            return SubjectTokens.FromLabels(labels, (int)labels.max().item<long>(), reads: c.Reads());
        }

        bool[]? present = c.Has("present") ? [.. c.Flags("present").data<bool>()] : null;
        return SubjectTokens.FromMasks(c.Flags("masks"), present, reads: c.Reads());
    }

    /// <summary>As a layer of cross-attention brings it, of a single scene.</summary>
    private static Tensor Placed(MethodCase c)
    {
        var (query, regions) = (c.Values("q").unsqueeze(0), c.Flags("regions"));
        var grid = new TokenGrid(1, (int)query.shape[2]);
        var subjects = Enumerable.Range(0, (int)regions.shape[0]).Select(subject => new StorySubject(
            $"subject {subject}", [[.. c.Raw($"tokens_{subject}").data<long>().Select(token => (int)token)]])
        {
            Regions = [regions[subject].view(grid.Height, grid.Width)],
        });
        using var story = new StoryAttention(
            StoryAttentionOptions.Disabled with { Placement = new() { Strength = c.Number("strength") } }, [.. subjects], scenes: 1,
            guidance: false);
        var (key, value) = (c.Values("k").unsqueeze(0), c.Values("v").unsqueeze(0));
        var layer = new AttentionLayer("attn2", AttentionKind.Cross, (int)query.shape[1], (int)query.shape[3]);
        return story.Attend(layer, new(query, key, value, grid, (int)key.shape[2]), new()).squeeze(0);
    }

    private static Dictionary<string, Tensor> Out(Tensor result) => new() { ["out"] = result };

    private static Dictionary<string, Tensor> Compute(MethodCase c)
    {
        switch (c.Op)
        {
            case "shared_attention" or "shared_attention_multi":
            {
                using var subjects = Subjects(c);
                return Out(SharedAttention.Apply(
                    c.Values("q"), c.Values("k"), c.Values("v"), subjects, c.Number("strength"), OnlySubjects(c)));
            }

            case "placed_cross_attention":
                return Out(Placed(c));

            case "harmonize":
            {
                using var subjects = Subjects(c);
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
    }
}
