using System.Text.Json;
using StorySync.Diffusion.Lora;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Lora;

/// <summary>LoRA files of every odd kind: a ModelFileException that names the file, and the model stays as it was, to the last
/// bit.</summary>
public sealed class HostileLoraTests : IDisposable
{
    private const string Layer = "unet.attn1.to_q";

    private readonly TemporaryFolder folder = new();

    /// <summary>What a file holds in addition to, or in place of, a good layer's matrices; its metadata; and what the message
    /// says.</summary>
    private static readonly (string Part, Action<Dictionary<string, Tensor>> Change, string? Metadata)[] Cases =
    [
        ("not finite", t => t[$"{Layer}.lora_A.weight"] = full([2, 5], float.NaN), null),
        ("not finite", t => t[$"{Layer}.lora_B.weight"] = full([3, 2], float.NegativeInfinity), null),
        ("not finite in float32", t => t[$"{Layer}.lora_A.weight"] = full([2, 5], 1e300, dtype: float64), null),
        ("alpha", t => t[$"{Layer}.alpha"] = tensor(double.PositiveInfinity), null),
        ("alpha", t => t[$"{Layer}.alpha"] = tensor(double.NaN), null), ("alpha", t => t[$"{Layer}.alpha"] = tensor(1e300), null),
        ("alpha", t => t[$"{Layer}.alpha"] = ones(2, 2), null), ("alpha", t => t[$"{Layer}.alpha"] = empty(0), null),
        ("has rank 0", t => (t[$"{Layer}.lora_A.weight"], t[$"{Layer}.lora_B.weight"]) = (empty(0, 5), empty(3, 0)), null),
        ("shapes", t => t[$"{Layer}.lora_A.weight"] = ones(5, 2), null), ("shapes", t => t[$"{Layer}.lora_B.weight"] = ones(2, 3), null),
        ("do not fit", t => (t[$"{Layer}.lora_A.weight"], t[$"{Layer}.lora_B.weight"]) = (ones(2, 3), ones(5, 2)), null),
        ("do not fit", t => t[$"{Layer}.lora_A.weight"] = ones(2, 5, 3, 3), null),
        ("shapes", t => t[$"{Layer}.lora_A.weight"] = ones(2, 5, 1), null),
        ("do not fit", t => (t[$"{Layer}.lora_A.weight"], t[$"{Layer}.lora_B.weight"]) = (ones(2, 6), ones(3, 2)), null),
        ("shapes", t => t[$"{Layer}.lora_A.weight"] = ones(2), null), ("shapes", t => t[$"{Layer}.lora_B.weight"] = tensor(1f), null),
        ("do not fit", t => t[$"{Layer}.lora_A.weight"] = empty(2, 0), null),
        ("is stored as I64", t => t[$"{Layer}.lora_A.weight"] = ones(2, 5, dtype: int64), null),
        ("is stored as BOOL", t => t[$"{Layer}.lora_B.weight"] = ones(3, 2, dtype: ScalarType.Bool), null),
        ("is stored as U8", t => t[$"{Layer}.lora_B.weight"] = ones(3, 2, dtype: uint8), null),
        ("is there twice", t => t[$"{Layer}.lora.down.weight"] = ones(2, 5), null),
        ("are one layer of the model", t =>
            (t["lora_unet_attn1_to_q.lora_down.weight"], t["lora_unet_attn1_to_q.lora_up.weight"]) = (ones(2, 5), ones(3, 2)), null),
        ("none of this model's", t => (t["unet.x.lora_A.weight"], t["unet.x.lora_B.weight"]) = (ones(2, 5), ones(3, 2)), null),
        ("no weight to add to", t => (t["unet.attn1.lora_A.weight"], t["unet.attn1.lora_B.weight"]) = (ones(2, 5), ones(3, 2)), null),
        ("is not a tensor of a LoRA", t => t["."] = ones(1), null), ("is not a tensor of a LoRA", t => t[""] = ones(1), null),
        ("lacks", t => t.Remove($"{Layer}.lora_A.weight"), null), ("lacks", t => t["unet.x\0.alpha"] = ones(1), null),
        ("must be a JSON object", _ => { }, "[]"), ("must be a JSON object", _ => { }, "null"), ("not valid JSON", _ => { }, "{"),
        ("not valid JSON", _ => { }, new string('[', 100)), ("unet.r", _ => { }, """{"unet.r": 1e400}"""),
        ("unet.r", _ => { }, """{"unet.r": "2"}"""), ("unet.r", _ => { }, """{"unet.r": []}"""),
        ("has rank 2", _ => { }, """{"unet.r": 0}"""),
        ("has rank 2", _ => { }, """{"unet.r": -1}"""), ("has rank 2", _ => { }, """{"unet.r": 2.5}"""),
        ("unet.lora_alpha", _ => { }, """{"unet.lora_alpha": 1e300}"""), ("unet.lora_alpha", _ => { }, """{"unet.lora_alpha": true}"""),
        ("unet.use_rslora", _ => { }, """{"unet.use_rslora": 1}"""), ("DoRA", _ => { }, """{"unet.use_dora": true}"""),
        ("unet.rank_pattern", _ => { }, """{"unet.rank_pattern": []}"""),
        ("unet.rank_pattern", _ => { }, """{"unet.rank_pattern": {"(": 1}}"""),
        ("unet.alpha_pattern", _ => { }, """{"unet.alpha_pattern": {"a": null}}"""),
        ("unet.alpha_pattern", _ => { }, """{"unet.alpha_pattern": {"(?<=a)b": 1}}"""),
        ("not valid JSON", _ => { }, """{"\ud800": 1}"""),
    ];

    [Fact]
    public void Every_odd_file_is_refused_and_leaves_the_model_as_it_was()
    {
        using var scope = NewDisposeScope();
        using var module = new Model();
        using var loras = new LoraAdapters([("unet", module, null)]);
        var before = module.attn1.to_q.weight.bytes.ToArray();
        foreach (var (part, change, metadata) in Cases)
        {
            var tensors = Good();
            change(tensors);
            var path = Write(tensors, metadata);
            var error = Record.Exception(() => loras.Load(path));
            Assert.True(error is ModelFileException, $"{part} {metadata}: {error?.ToString() ?? "loaded"}");
            Assert.StartsWith(path, error!.Message, StringComparison.Ordinal);
            Assert.Contains(part, error.Message, StringComparison.Ordinal);
            Assert.DoesNotContain("(Parameter", error.Message, StringComparison.Ordinal);
            Assert.Equal(before, module.attn1.to_q.weight.bytes.ToArray());
            Assert.Empty(loras.Scales);
        }

        loras.Remove(loras.Load(Write(Good(), null)));
        Assert.Equal(before, module.attn1.to_q.weight.bytes.ToArray());
    }

    [Fact]
    public void A_file_that_was_changed_changes_no_weight_and_its_LoRA_can_be_removed()
    {
        using var scope = NewDisposeScope();
        using var module = new Model();
        using var loras = new LoraAdapters([("unet", module, null)]);
        var before = module.attn1.to_q.weight.bytes.ToArray();
        File.Copy(Write(Good(), null), folder.PathOf("other.safetensors"));
        loras.Load(folder.PathOf("lora.safetensors"), "first");
        loras.Load(folder.PathOf("other.safetensors"), "second");
        var merged = module.attn1.to_q.weight.bytes.ToArray();
        using (var file = new FileStream(
            folder.PathOf("other.safetensors"), FileMode.Open, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete))
        {
            file.SetLength(100);
        }

        foreach (var change in (Action[])
        [
            () => loras.Remove("first"), () => loras.SetScale("first", 2), () => loras.Enabled = true,
            () => loras.Load(folder.PathOf("lora.safetensors"), "third"),
            () => loras.With(new Dictionary<string, double> { ["first"] = 0 }),
        ])
        {
            Assert.Contains("other.safetensors", Assert.Throws<ModelFileException>(change).Message, StringComparison.Ordinal);
            Assert.Equal(merged, module.attn1.to_q.weight.bytes.ToArray());
            Assert.Equal(["first", "second"], loras.Scales.Keys.Order(StringComparer.Ordinal));
        }

        loras.Enabled = false;
        Assert.Equal(before, module.attn1.to_q.weight.bytes.ToArray());
        loras.Remove("second");
        loras.Enabled = true;
        loras.Remove("first");
        Assert.Equal(before, module.attn1.to_q.weight.bytes.ToArray());
    }

    [Fact]
    public void A_pattern_that_would_be_tried_in_every_way_takes_no_time()
    {
        using var scope = NewDisposeScope();
        using var module = new Model();
        using var loras = new LoraAdapters([("unet", module, null)]);
        var name = new string('a', 40);
        var patterns = Enumerable.Range(0, 200).ToDictionary(i => $"(a+)+(a*)*{i}", _ => 1);
        var tensors = Good();
        for (var i = 0; i < 100; i++)
        {
            (tensors[$"unet.{name}{i}x.lora_A.weight"], tensors[$"unet.{name}{i}x.lora_B.weight"]) = (ones(1, 5), ones(3, 1));
        }

        var path = Write(tensors, JsonSerializer.Serialize(new Dictionary<string, object> { ["unet.alpha_pattern"] = patterns }));
        Assert.Contains("none of this model's", Assert.Throws<ModelFileException>(() => loras.Load(path)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_none_is_refused_and_not_waited_for()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no pipes among its files.");
        using var module = new Model();
        using var loras = new LoraAdapters([("unet", module, null)]);
        var pipe = folder.PathOf("pipe.safetensors");
        using (var made = System.Diagnostics.Process.Start("mkfifo", pipe))
        {
            made.WaitForExit();
        }

        File.CreateSymbolicLink(folder.PathOf("link.safetensors"), pipe);
        File.CreateSymbolicLink(folder.PathOf("self.safetensors"), folder.PathOf("self.safetensors"));
        foreach (var path in (string[])
        [
            pipe, folder.PathOf("link.safetensors"), folder.PathOf("self.safetensors"), "/dev/zero", folder.Path, folder.PathOf("none"),
            folder.PathOf(new string('x', 300)), folder.Write("empty.safetensors", ""),
        ])
        {
            var error = Assert.ThrowsAny<ModelFileException>(() => loras.Load(path));
            Assert.StartsWith(path, error.Message, StringComparison.Ordinal);
        }
    }

    public void Dispose() => folder.Dispose();

    private static Dictionary<string, Tensor> Good() =>
        new() { [$"{Layer}.lora_A.weight"] = ones(2, 5), [$"{Layer}.lora_B.weight"] = ones(3, 2) };

    private string Write(Dictionary<string, Tensor> tensors, string? metadata)
    {
        var path = folder.PathOf("lora.safetensors");
        SafetensorsWriter.Write(
            path, tensors, metadata is null ? null : new Dictionary<string, string> { ["lora_adapter_metadata"] = metadata });
        return path;
    }

    private sealed class Attention : nn.Module
    {
        public readonly TorchSharp.Modules.Linear to_q = nn.Linear(5, 3, hasBias: false);

        public Attention()
            : base(nameof(Attention)) => RegisterComponents();
    }

    private sealed class Model : nn.Module
    {
        public readonly Attention attn1 = new();

        public Model()
            : base(nameof(Model)) => RegisterComponents();
    }
}
