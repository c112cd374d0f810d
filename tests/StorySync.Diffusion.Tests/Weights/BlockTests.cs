using StorySync.Diffusion.Flux;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Weights;
using StorySync.Kernels;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Weights;

/// <summary>Weights in fewer bits: what diffusers' functions for GGUF and PyTorch's 8-bit floats make of them
/// (<c>make_single_files.py</c> in <c>tests/Reference</c>).</summary>
[Collection(typeof(AloneCollection))]
public class BlockTests
{
    private static string Single(string name) => Path.Combine(ReferenceData.OwnRoot, "single", name);

    private static BlockFormat Format(string name) => name switch
    {
        "F8_E4M3" => BlockFormat.Float8E4M3,
        "F8_E5M2" => BlockFormat.Float8E5M2,
        _ => BlockFormat.Find(name)!,
    };

    [Theory]
    [InlineData("F8_E4M3")]
    [InlineData("F8_E5M2")]
    [InlineData("Q8_0")]
    [InlineData("Q5_0")]
    [InlineData("Q5_1")]
    [InlineData("Q4_0")]
    [InlineData("Q4_1")]
    [InlineData("Q2_K")]
    [InlineData("Q3_K")]
    [InlineData("Q4_K")]
    [InlineData("Q5_K")]
    [InlineData("Q6_K")]
    public void Blocks_stand_for_the_same_numbers_as_in_diffusers(string name)
    {
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(Single("blocks.safetensors"));
        var expected = file.Read($"{name}.values");
        using var blocks = new StoredBlocks(file.Read($"{name}.stored"), Format(name), expected.shape, isView: false);
        var actual = blocks.Decode();

        // A number that is none has many bit patterns.
        TensorAssert.SameBits(expected.isnan(), actual.isnan());
        TensorAssert.SameBits(expected.nan_to_num(0, 1e9, -1e9), actual.nan_to_num(0, 1e9, -1e9));
    }

    [Theory]
    [InlineData("flux-fp8.safetensors", "flux-fp8-values.safetensors", true)]
    [InlineData("flux-fp8.safetensors", "flux-fp8-values.safetensors", false)]
    [InlineData("flux.gguf", "flux-gguf-values.safetensors", true)]
    [InlineData("flux.gguf", "flux-gguf-values.safetensors", false)]
    public void A_transformer_in_blocks_has_the_weights_that_they_stand_for(string stored, string values, bool maps)
    {
        using var scope = NewDisposeScope();
        var folder = ModelFolder.Open(Path.Combine(ReferenceData.OwnRoot, "models", "tiny-flux"));
        var config = folder.Config<FluxTransformer2DConfig>("transformer");
        using var expected = new FluxTransformer2DModel(config);
        using var actual = new FluxTransformer2DModel(config);
        foreach (var (model, file) in new[] { (expected, values), (actual, stored) })
        {
            using var source = new FluxSingleFile(WeightFile.Open(Single(file), maps));
            WeightBinder.Bind(model, source, ScalarType.Float32);
        }

        AssertSame(expected, actual);
        Assert.Contains(actual.modules().OfType<Linear>(),
            layer => layer.Storage.BlockBytes > 0 && layer.Storage.Dtype == ScalarType.Float32);
        Assert.All(actual.modules().OfType<Linear>().Where(layer => layer.Storage.BlockBytes > 0),
            layer => Assert.Equal((layer.Storage.Count * 4) - layer.Storage.BlockBytes, layer.SavedBytes));
    }

    [Fact]
    public void T5_in_gguf_is_the_model_of_its_folder()
    {
        using var scope = NewDisposeScope();
        var folder = ModelFolder.Open(Path.Combine(ReferenceData.OwnRoot, "models", "tiny-flux"));
        using var expected = T5EncoderModel.Load(folder, "text_encoder_2");
        using var source = SingleFile.OpenPart(Single("t5.gguf"), "text_encoder_2", maps: true);
        Assert.Equal(
            ModuleTensors.Of(expected).Select(tensor => tensor.Name).Order(StringComparer.Ordinal),
            source.Tensors.Keys.Order(StringComparer.Ordinal));
        foreach (var tensor in ModuleTensors.Of(expected))
        {
            TensorAssert.SameBits(tensor.Values().to(float32), source.Read(tensor.Name).to(float32));
        }
    }

    [Fact]
    public void A_layer_decodes_its_blocks_in_every_run_and_keeps_nothing() => LiveTensors.AssertNoneLeft(() =>
    {
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(Single("blocks.safetensors"));
        var (rows, columns) = (48L, 64L);
        using var layer = new Linear(columns, rows, bias: false);
        using var plain = new Linear(columns, rows, bias: false);
        var values = file.Read("Q4_K.values").view(rows, columns).clone();
        plain.Storage.Replace(values.clone().DetachFromDisposeScope());
        Assert.True(layer.Storage.TryDefer(
            new StoredBlocks(file.Read("Q4_K.stored"), Format("Q4_K"), [rows, columns], isView: false), ScalarType.Float32));
        var input = linspace(-1, 1, 3 * columns).view(3, columns);
        var bytes = layer.Storage.BlockBytes;
        Assert.Equal(12 * 144, bytes);
        for (var run = 0; run < 2; run++)
        {
            TensorAssert.SameBits(plain.call(input), layer.call(input));
            Assert.Equal((bytes, DeviceType.META), (layer.Storage.BlockBytes, layer.weight.device_type));
        }

        // Changing the weight, as a LoRA does, takes it out of the blocks.
        layer.Storage.Materialize();
        TensorAssert.SameBits(values, layer.weight);
        Assert.Equal(0, layer.Storage.BlockBytes);
        TensorAssert.SameBits(plain.call(input), layer.call(input));
    });

    [Fact]
    public void Runs_decode_the_blocks_of_a_layer_side_by_side()
    {
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(Single("blocks.safetensors"));
        using var layer = new Linear(32, 12, bias: false);
        Assert.True(layer.Storage.TryDefer(
            new StoredBlocks(file.Read("Q8_0.stored"), Format("Q8_0"), [12, 32], isView: false), ScalarType.Float32));
        using var meeting = new Meeting(2);
        var packed = new Tensor[2];
        Parallel.Invoke([.. Enumerable.Range(0, 2).Select(run => (Action)(() => packed[run] =
            layer.Storage.GetOrPack(meeting, [1, 32])![0].DetachFromDisposeScope()))]);

        TensorAssert.SameBits(file.Read("Q8_0.values").view(12, 32), packed[0]);
        TensorAssert.SameBits(packed[0], packed[1]);
        Array.ForEach(packed, values => values.Dispose());
    }

    [Fact]
    public void In_half_precision_a_layer_rounds_what_its_blocks_stand_for()
    {
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(Single("blocks.safetensors"));
        using var layer = new Linear(32, 12, bias: false);
        Assert.True(layer.Storage.TryDefer(
            new StoredBlocks(file.Read("Q8_0.stored"), Format("Q8_0"), [12, 32], isView: false), ScalarType.BFloat16));
        var input = ones(1, 32, dtype: ScalarType.BFloat16);
        var expected = nn.functional.linear(input, file.Read("Q8_0.values").view(12, 32).to(ScalarType.BFloat16));
        TensorAssert.SameBits(expected, layer.call(input));
    }

    [Fact]
    public void Rows_that_are_no_whole_blocks_are_decoded()
    {
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(Single("blocks.safetensors"));
        var values = file.Read("Q8_0.values");
        var form = TensorForm.Rows(1, 1, 3);
        var whole = new StoredBlocks(file.Read("Q8_0.stored"), Format("Q8_0"), [12, 32], isView: false);
        using var rows = form.Of(whole);
        TensorAssert.SameBits(values.view(12, 32)[4..8], rows!.Decode());

        var narrow = new StoredBlocks(file.Read("Q8_0.stored"), Format("Q8_0"), [24, 16], isView: false);
        Assert.Null(form.Of(narrow));
        Assert.Null(TensorForm.Transposed.Of(new StoredBlocks(file.Read("Q8_0.stored"), Format("Q8_0"), [12, 32], isView: false)));
    }

    [Theory]
    [InlineData("x.scale_weight", "there is no 'x.weight'", 2f)]
    [InlineData("layer.scale_weight", "must be one number", 2f, 3f)]
    [InlineData("layer.scale_weight", "must be a finite number", float.NaN)]
    public void A_scale_without_its_weight_or_of_another_kind_is_refused(string name, string said, params float[] scale)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        var path = folder.PathOf("x.safetensors");
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor> { ["layer.weight"] = ones(2, 2), [name] = tensor(scale) });
        Assert.Contains(said, Assert.Throws<ModelFileException>(() => WeightFile.Open(path)).Message, StringComparison.Ordinal);
    }

    private static void AssertSame(nn.Module expected, nn.Module actual)
    {
        foreach (var (wanted, found) in ModuleTensors.Of(expected).Zip(ModuleTensors.Of(actual)))
        {
            Assert.Equal(wanted.Name, found.Name);
            TensorAssert.SameBits(wanted.Values(), found.Values());
        }
    }

    /// <summary>A format that packs only while another run packs too.</summary>
    private sealed class Meeting(int runs) : IWeightFormat, IDisposable
    {
        private readonly Barrier barrier = new(runs);

        public bool IsReversible => false;

        public Tensor[] Pack(Tensor weight, long[] inputShape)
        {
            Assert.True(barrier.SignalAndWait(TimeSpan.FromMinutes(1)), "The other run waits for this one.");
            return [weight.clone()];
        }

        public Tensor Unpack(Tensor[] packed, long[] shape) => throw new NotSupportedException();

        public void Dispose() => barrier.Dispose();
    }
}
