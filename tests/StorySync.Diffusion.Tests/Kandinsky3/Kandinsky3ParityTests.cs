using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Kandinsky3;
using StorySync.Diffusion.Layers;
using StorySync.Diffusion.Tests.Weights;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Kandinsky3;

public sealed class Kandinsky3ParityTests
{
    public static TheoryData<string> Forwards => ReferenceData.CaseNames(c => c.Group == Kandinsky3Models.Group);

    public static TheoryData<string> Attentions =>
        ReferenceData.CaseNames(c => c.Name.StartsWith("attention-kandinsky3-", StringComparison.Ordinal));

    public static TheoryData<string> Manifests =>
        ReferenceData.FileNames("manifests", manifest => manifest.GetProperty("class").GetString() == "diffusers.Kandinsky3UNet");

    [Theory]
    [MemberData(nameof(Forwards))]
    public void The_forward_pass_and_each_of_its_parts_give_diffusers_numbers(string name)
    {
        using var inference = inference_mode();
        using var comparison = new Comparison(ReferenceData.Case(name));
        using var model = Kandinsky3Models.Load(comparison.Case.ModelPath);
        Activations.Watch(comparison, model);

        comparison.Check("out.sample", model.call(Kandinsky3Models.Inputs(comparison), new DenoisingContext()));
        comparison.AssertAll();
    }

    [Theory]
    [MemberData(nameof(Attentions))]
    public void An_attention_layer_alone_gives_diffusers_numbers(string name)
    {
        using var inference = inference_mode();
        using var comparison = new Comparison(ReferenceData.Case(name));
        using var model = Kandinsky3Models.Load(comparison.Case.ModelPath);
        var path = comparison.Case.Params.GetProperty("module").GetString();
        var layer = model.named_modules().Single(m => m.name == path).module;
        var (hidden, text) = (comparison.Input("hidden_states"), comparison.Input("encoder_hidden_states"));
        var mask = comparison.OptionalInput("attention_mask")?.unsqueeze(1);

        var output = layer is AttentionBlock attention
            ? attention.call(
                hidden,
                attention.Layer.Kind == AttentionKind.Self ? null : text,
                new BlockContext(hidden, text, mask, new DenoisingContext()))
            : ((PoolingAttention)layer).call(hidden, text, mask);

        comparison.Check("out.output", output);
        comparison.AssertAll();
    }

    [Theory]
    [MemberData(nameof(Manifests))]
    public void The_full_size_model_has_the_names_and_shapes_of_its_checkpoint(string file)
    {
        var manifest = ReferenceData.Json("manifests/" + file);
        var expected = manifest.GetProperty("shapes").EnumerateObject()
            .Select(s => $"{s.Name} {string.Join("×", s.Value.EnumerateArray())}").Order(StringComparer.Ordinal);

        // Its config is diffusers' class with its defaults, so an empty one gives the same.
        using var folder = new TemporaryFolder();
        string[] configs = [manifest.GetProperty("config").GetRawText(), "{}", """{ "groups": null }"""];
        foreach (var config in configs)
        {
            using var model = new Kandinsky3UNet(ComponentConfig.Read<Kandinsky3UNetConfig>(folder.Write("config.json", config)));
            var found = CheckpointShapes.Of(model);
            Assert.Equal(expected, found.Shapes.Select(s => $"{s.Key} {string.Join("×", s.Value)}").Order(StringComparer.Ordinal));
            Assert.Equal(manifest.GetProperty("parameters").GetInt64(), found.ElementCount);
        }
    }
}
