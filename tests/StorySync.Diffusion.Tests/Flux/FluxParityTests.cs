using System.Text.Json;
using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Flux;
using StorySync.Diffusion.Tests.Weights;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Flux;

public sealed class FluxParityTests
{
    public static TheoryData<string> Transformers =>
        ReferenceData.CaseNames(c => c.Group == FluxModels.Group);

    public static TheoryData<string> Attentions =>
        ReferenceData.CaseNames(c => c.Group == "attention" && c.Call.Contains("FluxAttention", StringComparison.Ordinal));

    public static TheoryData<string> Manifests =>
        ReferenceData.FileNames("manifests", manifest => manifest.GetProperty("class").GetString() == "diffusers.FluxTransformer2DModel");

    [Theory]
    [MemberData(nameof(Transformers))]
    public void The_transformer_and_each_of_its_parts_give_diffusers_numbers(string name)
    {
        using var comparison = new Comparison(ReferenceData.Case(name));
        using var model = FluxModels.Load(comparison.Case.ModelPath);
        using var inference = inference_mode();

        // diffusers' blocks give text and image, in that order.
        var text = comparison.Input("txt_ids").shape[0];
        Activations.Watch(comparison, model, asReference: (module, result) => (module, result) switch
        {
            (FluxTransformerBlock, (Tensor image, Tensor after)) => (after, image),
            (FluxSingleTransformerBlock, Tensor joint) => (joint.narrow(1, 0, text), joint.narrow(1, text, joint.shape[1] - text)),
            _ => result,
        });
        comparison.Check("out.sample", model.call(FluxModels.Inputs(model, comparison), new DenoisingContext()));
        comparison.AssertAll();
    }

    [Theory]
    [MemberData(nameof(Attentions))]
    public void An_attention_layer_alone_gives_diffusers_numbers(string name)
    {
        using var comparison = new Comparison(ReferenceData.Case(name));
        using var model = FluxModels.Load(comparison.Case.ModelPath);
        using var inference = inference_mode();
        var layer = model.named_modules().Single(m => m.name == comparison.Case.Params.GetProperty("module").GetString()).module;
        var rotary = new RotaryEmbedding(comparison.Input("image_rotary_emb.0"), comparison.Input("image_rotary_emb.1"));
        var hidden = comparison.Input("hidden_states");
        var grid = new TokenGrid(1, (int)hidden.shape[1]);
        if (comparison.OptionalInput("encoder_hidden_states") is { } text)
        {
            var pass = new FluxBlockContext(rotary, grid, (int)text.shape[1], new DenoisingContext());
            var (image, encoder) = ((FluxAttention)layer).call((hidden, text), pass);
            comparison.Check("out.output.0", image);
            comparison.Check("out.output.1", encoder);
        }
        else
        {
            comparison.Check("out.output",
                ((FluxSingleAttention)layer).call(hidden, new FluxBlockContext(rotary, grid, 0, new DenoisingContext())));
        }

        comparison.AssertAll();
    }

    [Theory]
    [MemberData(nameof(Manifests))]
    public void A_full_size_model_has_the_names_and_shapes_of_its_checkpoint(string file)
    {
        var manifest = ReferenceData.Json("manifests/" + file);
        using var folder = new TemporaryFolder();
        var config = ComponentConfig.Read<FluxTransformer2DConfig>(
            folder.Write("config.json", manifest.GetProperty("config").GetRawText()));
        using var model = new FluxTransformer2DModel(config);
        var found = CheckpointShapes.Of(model);
        Assert.Equal(Shapes(manifest),
            found.Shapes.OrderBy(s => s.Key, StringComparer.Ordinal).Select(s => $"{s.Key} {string.Join("×", s.Value)}"));
        Assert.Equal(manifest.GetProperty("parameters").GetInt64(), found.ElementCount);

        // The same from the checkpoint as black-forest-labs publish it.
        using var single = new FluxSingleFile(new ShapesOnly(OriginalNames.Of(config)));
        Assert.Equal(
            Shapes(manifest),
                single.Tensors.OrderBy(s => s.Key, StringComparer.Ordinal).Select(s => $"{s.Key} {string.Join("×", s.Value.Shape)}"));
        Assert.Equal(
            config with { OutChannels = config.OutChannels ?? config.InChannels, AxesDimsRope = [] },
            single.ReadConfig() with { AxesDimsRope = [] });
    }

    private static IEnumerable<string> Shapes(JsonElement manifest) => manifest.GetProperty("shapes").EnumerateObject()
        .OrderBy(s => s.Name, StringComparer.Ordinal)
        .Select(s => $"{s.Name} {string.Join("×", s.Value.EnumerateArray())}");

    /// <summary>A checkpoint of which only the header is there.</summary>
    private sealed class ShapesOnly(IEnumerable<(string Name, long[] Shape)> shapes) : ITensorSource
    {
        public string Path => "shapes";

        public IReadOnlyDictionary<string, TensorInfo> Tensors { get; } =
            shapes.ToDictionary(s => s.Name, s => new TensorInfo(s.Name, SafetensorsDtype.BF16, s.Shape));

        public Tensor Read(string name) => throw new NotSupportedException();

        public void Dispose()
        {
        }
    }
}
