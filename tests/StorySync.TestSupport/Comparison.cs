using System.Collections.Concurrent;
using System.Globalization;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.TestSupport;

/// <summary>Holds what was computed for a case against what the reference has, tensor by tensor.</summary>
public sealed class Comparison : IDisposable
{
    private static readonly ConcurrentDictionary<string, double> WorstOfGroup = new();
    private static readonly ConcurrentDictionary<string, int> CasesOfGroup = new();

    private readonly SafetensorsFile tensors;
    private readonly Dictionary<string, (double Error, string? Problem)> results = [];
    private readonly DisposeScope scope = NewDisposeScope();

    public Comparison(ReferenceCase reference)
    {
        Case = reference;
        tensors = reference.OpenTensors();
    }

    public ReferenceCase Case { get; }

    /// <summary>An input of the case.</summary>
    public Tensor Input(string name) => tensors.Read("in." + name);

    /// <summary>An input of the case, or null when it has none of that name.</summary>
    public Tensor? OptionalInput(string name) => tensors.Tensors.ContainsKey("in." + name) ? Input(name) : null;

    /// <summary>A tensor of the case that another part of it needs as input.</summary>
    public Tensor Golden(string name) => tensors.Read(name);

    public bool Expects(string name) => Case.Outputs.Any(o => o.Name == name);

    /// <summary>Compares one output, named in full (<c>out.sample</c>, <c>act.conv_in</c>). An output the case lacks is ignored.</summary>
    public void Check(string name, Tensor actual)
    {
        if (!Expects(name))
        {
            return;
        }

        using var inner = NewDisposeScope();
        var tolerance = Case.Outputs.First(o => o.Name == name).Tolerance;
        var expected = tensors.Read(name);
        if (!actual.shape.SequenceEqual(expected.shape))
        {
            results[name] =
                (double.PositiveInfinity, $"shape ({string.Join(", ", actual.shape)}) instead of ({string.Join(", ", expected.shape)})");
            return;
        }

        var error = expected.numel() == 0 ? 0 : (actual.to(float64) - expected.to(float64)).abs().max().item<double>();
        var ratio = error == 0 ? 0 : error / tolerance;
        results[name] = (ratio, error <= tolerance ? null
            : string.Create(CultureInfo.InvariantCulture, $"off by {error:g3}, allowed is {tolerance:g3}"));
    }

    /// <summary>Fails, naming the first output in the order of the forward pass that departs, when one does or was never
    /// computed.</summary>
    public void AssertAll()
    {
        foreach (var (name, _) in Case.Outputs)
        {
            if (!results.TryGetValue(name, out var result))
            {
                Assert.Fail($"{Case.Name}: {name} was not computed.");
            }

            if (result.Problem is not null)
            {
                var others = results.Count(r => r.Value.Problem is not null) - 1;
                Assert.Fail(
                    $"{Case.Name}: {name} is the first to depart: {result.Problem}; {others} others of {Case.Outputs.Count} depart too.");
            }
        }

        CasesOfGroup.AddOrUpdate(Case.Group, 1, (_, n) => n + 1);
        WorstOfGroup.AddOrUpdate(Case.Group, Worst(), (_, w) => Math.Max(w, Worst()));
    }

    public void Dispose()
    {
        scope.Dispose();
        tensors.Dispose();
    }

    /// <summary>A table of what ran so far: cases and worst error / tolerance of each group.</summary>
    public static string Summary() => string.Join(
        Environment.NewLine,
        CasesOfGroup.OrderBy(g => g.Key, StringComparer.Ordinal)
            .Select(g => string.Create(CultureInfo.InvariantCulture,
                $"parity: {g.Key,-18} {g.Value,4} cases, worst error / tolerance {WorstOfGroup[g.Key]:f3}")));

    private double Worst() => results.Values.Max(r => r.Error);
}
