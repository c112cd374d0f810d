using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Weights;

public class WeightBinderTests
{
    private sealed class Block : nn.Module
    {
        public readonly Linear proj = new(3, 2);
        public readonly GroupNorm norm = new(1, 2, 1e-5);

        public Block(bool withBuffer = false)
            : base(nameof(Block))
        {
            RegisterComponents();
            if (withBuffer)
            {
                register_buffer("steps", zeros(2, ScalarType.Int64).DetachFromDisposeScope());
            }
        }
    }

    private static Dictionary<string, Tensor> Weights(ScalarType type = ScalarType.Float32) => new()
    {
        ["proj.weight"] = arange(6, dtype: type).view(2, 3),
        ["proj.bias"] = ones(2, type),
        ["norm.weight"] = ones(2, type),
        ["norm.bias"] = zeros(2, type),
    };

    private static SafetensorsFile Open(TemporaryFolder folder, Dictionary<string, Tensor> tensors)
    {
        var path = folder.PathOf("w.safetensors");
        SafetensorsWriter.Write(path, tensors);
        return SafetensorsFile.Open(path);
    }

    [Theory]
    [InlineData(ScalarType.Float32, null, ScalarType.Float32)]
    [InlineData(ScalarType.Float16, ScalarType.Float32, ScalarType.Float32)]
    [InlineData(ScalarType.Float16, null, ScalarType.Float16)]
    public void Weights_are_bound_by_name(ScalarType stored, ScalarType? wanted, ScalarType bound)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var block = new Block();
        using (var source = Open(folder, Weights(stored)))
        {
            WeightBinder.Bind(block, source, wanted);
        }

        Assert.Equal(bound, block.proj.weight.dtype);
        Assert.Equal([0f, 1, 2, 3, 4, 5], block.proj.Storage.Values().to(ScalarType.Float32).data<float>().ToArray());
        Assert.Equal([4f, 13], block.proj.call(ones(3, dtype: bound)).to(ScalarType.Float32).data<float>().ToArray());
    }

    [Fact]
    public void Weights_of_the_right_type_are_the_mapping_itself()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var block = new Block();
        using var source = Open(folder, Weights());
        WeightBinder.Bind(block, source, ScalarType.Float32, CPU);
        source.Read("proj.weight").fill_(3);
        Assert.Equal(18f, block.proj.weight.sum().item<float>());
    }

    [Fact]
    public void Buffers_are_bound_and_keep_an_integer_type()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var block = new Block(withBuffer: true);
        var weights = Weights(ScalarType.Float16);
        weights["steps"] = tensor(new long[] { 5, 6 });
        using var source = Open(folder, weights);
        WeightBinder.Bind(block, source, ScalarType.Float32);
        var buffer = block.named_buffers().Single().buffer;
        Assert.Equal(ScalarType.Int64, buffer.dtype);
        Assert.Equal([5L, 6], buffer.data<long>().ToArray());
    }

    [Fact]
    public void Names_can_be_mapped_and_passed_over()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var block = new Block();
        var weights = Weights().ToDictionary(entry => "model." + entry.Key, entry => entry.Value);
        weights["model.position_ids"] = arange(5);
        using var source = Open(folder, weights);
        WeightBinder.Bind(block, source, rename: name => name.EndsWith("position_ids", StringComparison.Ordinal) ? null
            : name["model.".Length..]);
        Assert.Equal(15f, block.proj.weight.sum().item<float>());
    }

    [Theory]
    [InlineData("a.tied")]
    [InlineData("z.tied")]
    public void Of_several_names_of_one_parameter_its_own_comes_first(string other)
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var block = new Block();
        var weights = Weights();
        weights[other] = zeros(2);
        using var source = Open(folder, weights);
        WeightBinder.Bind(block, source, rename: name => name == other ? "proj.bias" : name);
        Assert.Equal(2f, block.proj.bias!.sum().item<float>());
    }

    [Fact]
    public void What_does_not_fit_is_reported_together_and_nothing_is_bound()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var block = new Block();
        var weights = Weights();
        weights.Remove("norm.bias");
        weights["proj.weight"] = zeros(3, 2);
        weights["extra"] = zeros(4);
        using var source = Open(folder, weights);
        var exception = Assert.Throws<WeightMismatchException>(() => WeightBinder.Bind(block, source));
        Assert.Equal(["norm.bias [2]"], exception.Missing);
        Assert.Equal(["extra F32[4]"], exception.Unexpected);
        Assert.Equal(["proj.weight F32[3, 2], wanted [2, 3]"], exception.Misshaped);
        Assert.Contains("1 missing: norm.bias [2]", exception.Message, StringComparison.Ordinal);
        Assert.Contains(source.Path, exception.Message, StringComparison.Ordinal);
        Assert.All(block.parameters(), parameter => Assert.Equal(DeviceType.META, parameter.device_type));
    }

    [Fact]
    public void Binding_stops_where_it_is_cancelled()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var block = new Block();
        using var source = Open(folder, Weights());
        var cancelled = new CancellationToken(canceled: true);
        Assert.Throws<OperationCanceledException>(() => WeightBinder.Bind(block, source, cancellationToken: cancelled));
    }

    [Fact]
    public void What_is_missing_is_told_in_order_and_at_most_five_at_a_time()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var block = new Block();
        var weights = Weights();
        weights.Remove("proj.bias");
        weights.Remove("norm.bias");
        foreach (var name in (string[])["z6", "z1", "z5", "z2", "z4", "z3"])
        {
            weights[name] = zeros(1);
        }

        using var source = Open(folder, weights);
        var error = Assert.Throws<WeightMismatchException>(() => WeightBinder.Bind(block, source));
        Assert.Equal(["norm.bias [2]", "proj.bias [2]"], error.Missing);
        Assert.Equal(["z1", "z2", "z3", "z4", "z5", "z6"], error.Unexpected.Select(text => text.Split(' ')[0]));
        Assert.Contains("6 unexpected: z1 F32[1]; z2 F32[1]; z3 F32[1]; z4 F32[1]; z5 F32[1]; …", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("of another shape", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("All names are right", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_checkpoint_of_something_else_is_recognised()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var block = new Block();
        using var source = Open(folder, Enumerable.Range(0, 9).ToDictionary(
            i => i == 0 ? "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight" : $"down_blocks.{i}.x", _ => zeros(1, 768)));
        var exception = Assert.Throws<WeightMismatchException>(() => WeightBinder.Bind(block, source));
        Assert.Contains("an SD 1.5 UNet's", exception.Message, StringComparison.Ordinal);
        Assert.Contains("9 unexpected: ", exception.Message, StringComparison.Ordinal);
        Assert.Contains("; …", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_of_another_size_is_recognised()
    {
        using var folder = new TemporaryFolder();
        using var scope = NewDisposeScope();
        using var block = new Block();
        using var source = Open(folder, Weights().ToDictionary(entry => entry.Key, _ => zeros(7)));
        Assert.Contains("another size", Assert.Throws<WeightMismatchException>(() => WeightBinder.Bind(block, source)).Message,
            StringComparison.Ordinal);
    }
}
