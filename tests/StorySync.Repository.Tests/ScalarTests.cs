using System.Collections.Frozen;
using System.Reflection;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Repository.Tests;

/// <summary>TorchSharp makes a <see cref="Scalar"/> of a number and lets nothing hold it while libtorch reads it: it may be collected under
/// the call. So the libraries leave numbers to one class, which holds them.</summary>
/// <remarks>Suspect is every member of TorchSharp that gets a scalar from another one, and every member that calls a suspect one: its IL
/// says which, so that a new version of TorchSharp is judged by what it does. A call of an abstract or virtual method leads to that method,
/// not to its overrides.</remarks>
public class ScalarTests
{
    private const string Home = "StorySync.Kernels.Arithmetic";

    private static readonly FrozenSet<MethodBase> Suspects = FindSuspects();

    [Theory]
    [MemberData(nameof(ArchitectureTests.AllLibraries), MemberType = typeof(ArchitectureTests))]
    public void A_library_gives_numbers_to_libtorch_in_one_place(string library) => Assert.Empty(
        from method in Calls.MethodsOf(Assembly.Load(library))
        where Outermost(method.DeclaringType!).FullName != Home
        from called in Calls.From(method)
        where Suspects.Contains(called)
        select $"{method.DeclaringType}.{method.Name} calls {called.DeclaringType}.{called}: {Home} has what holds its numbers.");

    [Fact]
    public void That_place_exists() => Assert.NotNull(Assembly.Load("StorySync.Kernels").GetType(Home));

    [Theory]
    [InlineData(nameof(Sum), "op_Addition")]
    [InlineData(nameof(Accumulated), "add_")]
    [InlineData(nameof(Doubled), "op_Multiply")]
    [InlineData(nameof(Clamped), "op_Implicit op_Implicit")]
    [InlineData(nameof(Squared), "square")]
    [InlineData(nameof(Counted), "op_Implicit arange")]
    [InlineData(nameof(Activated), "mish")]
    [InlineData(nameof(Read), "ToSingle")]
    [InlineData(nameof(Later), "op_Subtraction")]
    [InlineData(nameof(Harmless), "")]
    public void It_knows_what_makes_scalars(string method, string expected) => Assert.Equal(
        expected,
        string.Join(' ', Calls.MethodsOf(typeof(ScalarTests).Assembly)
            .Where(candidate => Outermost(candidate.DeclaringType!) == typeof(ScalarTests)
                && (candidate.Name == method || candidate.Name.StartsWith($"<{method}>", StringComparison.Ordinal)))
            .SelectMany(Calls.From)
            .Where(Suspects.Contains)
            .Select(called => called.Name)));

    private static Tensor Sum(Tensor x) => x + x;

    private static Tensor Accumulated(Tensor x) => x.add_(x);

    private static Tensor Doubled(Tensor x) => 2 * x;

    private static Tensor Clamped(Tensor x) => x.clamp(0, 1);

    private static Tensor Squared(Tensor x) => x.square();

    private static Tensor Counted() => arange(3);

    private static Tensor Activated(Tensor x) => nn.functional.mish(x);

    private static float Read(Tensor x) => x.ToSingle();

    private static Func<Tensor, Tensor> Later() => static x => 1 - x;

    private static Tensor Harmless(Tensor x) => ((x - x) * x / x).div(x, RoundingMode.floor).relu().item<float>() > 0 ? x.neg() : x;

    private static FrozenSet<MethodBase> FindSuspects()
    {
        var methods = Calls.MethodsOf(typeof(Scalar).Assembly).ToArray();
        var callers = methods.SelectMany(method => Calls.From(method).Select(called => (called, method)))
            .ToLookup(call => call.called, call => call.method);
        var suspects = methods.Where(method => method is MethodInfo { ReturnType: var type } && type == typeof(Scalar)).ToHashSet();
        var open = new Queue<MethodBase>(suspects);
        while (open.TryDequeue(out var suspect))
        {
            foreach (var caller in callers[suspect].Where(suspects.Add))
            {
                open.Enqueue(caller);
            }
        }

        return suspects.ToFrozenSet();
    }

    private static Type Outermost(Type type) => type.DeclaringType is { } outer ? Outermost(outer) : type;
}
