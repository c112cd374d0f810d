using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Weights;

public class ModelLoadingTests
{
    private sealed record Config
    {
        public int Width { get; init; } = 3;

        [LayerCount("layers")]
        public int NumLayers { get; init; }
    }

    private sealed class Model : nn.Module
    {
        public readonly Linear proj;

        public Model(Config config)
            : base(nameof(Model))
        {
            proj = new Linear(config.Width, 1, bias: false);
            RegisterComponents();
        }
    }

    private static ModelFolder Folder(TemporaryFolder folder, string config)
    {
        folder.Write("unet/config.json", config);
        using var scope = NewDisposeScope();
        SafetensorsWriter.Write(
            folder.PathOf("unet/model.safetensors"), new Dictionary<string, Tensor> { ["proj.weight"] = tensor([1f, 2, 3], [1, 3]) });
        return ModelFolder.Open(folder.Path);
    }

    private static ModelFileException Error(string config, Func<Config, Model> build)
    {
        using var folder = new TemporaryFolder();
        var model = Folder(folder, config);
        var error = Assert.Throws<ModelFileException>(() => model.Load("unet", build, float32, device: null, variant: null));
        Assert.Equal(Path.Combine(folder.Path, "unet", "config.json"), error.Path);
        return error;
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{ "_class_name": "Model" }""")]
    [InlineData("""{ "_class_name": "" }""")]
    [InlineData("""{ "_class_name": null }""")]
    public void A_model_is_built_from_its_config_and_gets_its_weights(string config)
    {
        using var folder = new TemporaryFolder();
        var opened = Folder(folder, config);
        using var model = opened.Load<Config, Model>("unet", c => new Model(c), float32, CPU, null);
        Assert.Equal([1f, 2, 3], model.proj.weight.data<float>().ToArray());
        Assert.Single(opened.FilesInUse);
    }

    [Fact]
    public void Another_class_is_refused() => Assert.Contains(
        "'_class_name' is Other, which is not supported here; expected Model",
        Error("""{ "_class_name": "Other" }""", c => new Model(c)).Message, StringComparison.Ordinal);

    [Fact]
    public void More_layers_than_there_are_tensors_are_refused() => Assert.Contains(
        "'num_layers' is 2", Error("""{ "num_layers": 2 }""", c => new Model(c)).Message, StringComparison.Ordinal);

#pragma warning disable CA2201 // These are what arrays and libtorch throw.
    public static TheoryData<Exception> Failures() =>
    [
        new ArgumentException("It cannot be.\nMore.", "config"),
        new NotSupportedException("It cannot be."),
        new OverflowException("It cannot be."),
        new InvalidOperationException("It cannot be."),
        new IndexOutOfRangeException("It cannot be."),
        new System.Runtime.InteropServices.ExternalException("It cannot be.\r\nMore."),
    ];
#pragma warning restore CA2201

    [Theory]
    [MemberData(nameof(Failures))]
    public void What_a_config_does_to_the_building_is_told_in_one_line_with_its_file(Exception failure)
    {
        var error = Error("{}", _ => throw failure);
        Assert.EndsWith("config.json: no model can be built from it: It cannot be", error.Message, StringComparison.Ordinal);
        Assert.Same(failure, error.InnerException);
    }

    [Fact]
    public void Other_failures_pass()
    {
        using var folder = new TemporaryFolder();
        var model = Folder(folder, "{}");
        Assert.Throws<OperationCanceledException>(() =>
            model.Load<Config, Model>("unet", _ => throw new OperationCanceledException(), float32, null, null));
    }
}
