using System.Collections.Frozen;
using System.Reflection;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Repository.Tests;

/// <summary>What makes the host wait for a device, or a device for the host: numbers that are read, tensors that come back, results whose
/// size depends on numbers. Within a step of a run there is none; a call of one stands here with what it is for.</summary>
public class TransferTests
{
    private const string Attention = "StorySync.Attention.";
    private const string Diffusion = "StorySync.Diffusion.";
    private const string Pipelines = "StorySync.Pipelines.";

    /// <summary>Where weights, files, texts and images are read, before a run; there is no device there, or nothing on it yet.</summary>
    private static readonly string[] BeforeRuns =
        [Diffusion + "Weights", Diffusion + "Lora", Diffusion + "Tokenizers", Diffusion + "TextEncoders"];

    private static readonly FrozenDictionary<string, (string Calls, string Reason)> Homes = new Dictionary<string, (string, string)>
    {
        [Attention + "MaskRepair"] = ("data to", "masks, once they are on the host"),
        [Attention + "RotaryEmbedding"] = ("to", "positions, before a run"),
        [Attention + "SharedAttention"] = ("data", "which tokens are dropped, drawn on the host"),
        [Attention + "SubjectMasks"] = ("data", "masks on the host"),
        [Attention + "SubjectRegions"] = ("data", "regions on the host"),
        [Attention + "SubjectTokens"] = ("data", "masks on the host"),
        [Diffusion + "Denoising.BlockCache"] = ("item", "whether a step computes the other blocks, which the host decides"),
        [Diffusion + "Flux.FluxPosEmbed"] = ("to", "positions, before a run"),
        [Diffusion + "Schedulers.EulerDiscreteScheduler"] = ("data", "a plan, before a run"),
        [Diffusion + "Schedulers.Tables.NoiseSchedule"] = ("data", "a plan, before a run"),
        [Diffusion + "Schedulers.Tables.TorchMath"] = ("data", "a plan, before a run"),
        [Diffusion + "Schedulers.UniPCStep"] = ("data", "weights of a step, of the host's numbers"),
        [Pipelines + "BankRecorder"] = ("to", "what a bank keeps of a step"),
        [Pipelines + "FiniteNumbers"] = ("cpu data item", "after a run, and before it"),
        [Pipelines + "Generation"] = ("to", "given latents, before a run"),
        [Pipelines + "ImageAnchors"] = ("to", "given images, before a run"),
        [Pipelines + "ImageStart"] = ("to", "given images, before a run"),
        [Pipelines + "KeyRecorder"] = ("item to", "what a bank keeps of a step"),
        [Pipelines + "RequestRules"] = ("item", "given latents, before a run"),
        [Pipelines + "RgbImage"] = ("cpu data", "images, after a run"),
        [Pipelines + "StepTimer"] = ("cpu", "the time of a step, which ends when its numbers are there"),
        [Pipelines + "StoryBank"] = ("get_bytes", "images, from a file"),
        [Pipelines + "StoryBankFormat"] = ("get_bytes", "what a file has, to check it"),
        [Pipelines + "StoryGeneration"] = ("to", "a bank's latents, after a run"),
        [Pipelines + "SubjectConsistency"] = ("cpu item to", "measures, after a run"),
        [Pipelines + "SubjectRegion"] = ("data", "masks on the host, after a run"),
    }.ToFrozenDictionary();

    public static TheoryData<string> Libraries() => ["StorySync.Attention", "StorySync.Diffusion", "StorySync.Pipelines"];

    [Theory]
    [MemberData(nameof(Libraries))]
    public void Nothing_is_waited_for_but_where_it_is_said(string library)
    {
        var found = (
            from method in Calls.MethodsOf(Assembly.Load(library))
            let home = Outermost(method.DeclaringType!)
            where !BeforeRuns.Contains(home.Namespace)
            from called in Calls.From(method)
            where Waits(called)
            group called.Name by home.FullName).ToDictionary(home => home.Key, home => string.Join(' ', home.Distinct().Order()));
        var expected = Homes.Where(home => home.Key.StartsWith(library + ".", StringComparison.Ordinal))
            .ToDictionary(home => home.Key, home => home.Value.Calls);
        string[] wrong =
        [
            .. found.Except(expected).Select(home => $"{home.Key} calls {home.Value}"),
            .. expected.Except(found).Select(home => $"{home.Key} does not call {home.Value}"),
        ];
        Assert.True(wrong.Length == 0, string.Join('\n', wrong.Order(StringComparer.Ordinal)));
    }

    [Theory]
    [InlineData(nameof(Read), "item")]
    [InlineData(nameof(Fetched), "cpu data")]
    [InlineData(nameof(Moved), "to")]
    [InlineData(nameof(Found), "nonzero")]
    [InlineData(nameof(Converted), "")]
    public void It_knows_what_waits(string method, string expected) => Assert.Equal(
        expected,
        string.Join(' ', Calls.MethodsOf(typeof(TransferTests).Assembly)
            .Where(candidate => candidate.DeclaringType == typeof(TransferTests) && candidate.Name == method)
            .SelectMany(Calls.From)
            .Where(Waits)
            .Select(called => called.Name)));

    private static bool Waits(MethodBase called) => called.DeclaringType is { } type && type.Assembly == typeof(Tensor).Assembly
        && (type == typeof(Tensor) || type == typeof(torch) || type.Name == "TensorExtensionMethods")
        && (called.Name is "cpu" or "cuda" or "item" or "data" or "get_bytes" or "nonzero" or "masked_select" or "unique"
                or "unique_consecutive" or "is_nonzero" or "equal" or "bincount" or "argwhere" or "op_Explicit"
            || called.Name.StartsWith("ReadCpu", StringComparison.Ordinal)
            || called.Name is "ToSingle" or "ToDouble" or "ToInt32" or "ToInt64" or "ToBoolean" or "ToByte" or "ToHalf"
            || (called.Name == "to" && called.GetParameters().Any(parameter =>
                parameter.ParameterType == typeof(Device) || parameter.ParameterType == typeof(DeviceType))));

    private static float Read(Tensor x) => x.sum().item<float>();

    private static float[] Fetched(Tensor x) => [.. x.cpu().data<float>()];

    private static Tensor Moved(Tensor x, Device device) => x.to(device);

    private static Tensor Found(Tensor x) => x.nonzero();

    private static Tensor Converted(Tensor x) => x.to(ScalarType.Float32).contiguous();

    private static Type Outermost(Type type) => type.DeclaringType is { } outer ? Outermost(outer) : type;
}
