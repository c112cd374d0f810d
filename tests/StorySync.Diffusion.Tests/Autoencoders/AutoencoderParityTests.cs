using System.Text.Json;
using StorySync.Diffusion.Autoencoders;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Autoencoders;

public class AutoencoderParityTests
{
    public static TheoryData<string> Models() => ReferenceData.CaseNames(c => c.Group == "vae");

    public static TheoryData<string> AttentionLayers() =>
        ReferenceData.CaseNames(c => c.Group == "attention" && ClassOf(c) is "AutoencoderKL" or "VQModel");

    [Theory]
    [MemberData(nameof(Models))]
    public void Encodes_and_decodes_as_diffusers_does(string name)
    {
        using var mode = inference_mode();
        using var comparison = new Comparison(ReferenceData.Case(name));
        switch (comparison.Case.Call)
        {
            case "diffusers.AutoencoderKL.encode(image).latent_dist":
                CheckEncodeKL(comparison);
                break;
            case "diffusers.AutoencoderKL.decode(latents / scaling_factor + shift_factor).sample":
                CheckDecodeKL(comparison);
                break;
            case "diffusers.VQModel.encode(image).latents":
                CheckEncodeVQ(comparison);
                break;
            case "diffusers.VQModel.decode(latents, force_not_quantize=True).sample":
                CheckDecodeVQ(comparison, quantize: false);
                break;
            case "diffusers.VQModel.decode(latents).sample":
                CheckDecodeVQ(comparison, quantize: true);
                break;
            default:
                Assert.Fail($"{name}: nothing here makes what '{comparison.Case.Call}' makes.");
                break;
        }

        comparison.AssertAll();
    }

    [Theory]
    [MemberData(nameof(AttentionLayers))]
    public void Attention_layer_is_that_of_diffusers(string name)
    {
        using var mode = inference_mode();
        using var comparison = new Comparison(ReferenceData.Case(name));
        var folder = ModelFolder.Open(comparison.Case.ModelPath);
        using nn.Module model = ClassOf(comparison.Case) == "VQModel" ? VQModel.Load(folder, "") : AutoencoderKL.Load(folder, "");
        var path = comparison.Case.Params.GetProperty("module").GetString();
        var layer = (AutoencoderAttention)model.named_modules().Single(m => m.name == path).module;

        comparison.Check("out.output", layer.call(comparison.Input("hidden_states"), comparison.OptionalInput("temb")));
        comparison.AssertAll();
    }

    private static void CheckEncodeKL(Comparison comparison)
    {
        using var model = AutoencoderKL.Load(ModelFolder.Open(comparison.Case.ModelPath), "");
        Activations.Watch(comparison, model);
        using var distribution = model.Encode(comparison.Input("image"));
        var sample = distribution.Sample(comparison.Input("noise"));
        comparison.Check("out.mean", distribution.Mean);
        comparison.Check("out.logvar", distribution.LogVar);
        comparison.Check("out.std", distribution.Std());
        comparison.Check("out.mode", distribution.Mode());
        comparison.Check("out.sample", sample);
        comparison.Check("out.latents", model.ScaleLatents(sample));
    }

    private static void CheckDecodeKL(Comparison comparison)
    {
        using var model = AutoencoderKL.Load(ModelFolder.Open(comparison.Case.ModelPath), "");
        Activations.Watch(comparison, model);
        comparison.Check("out.image", model.Decode(model.UnscaleLatents(comparison.Input("latents"))));
    }

    private static void CheckEncodeVQ(Comparison comparison)
    {
        using var model = VQModel.Load(ModelFolder.Open(comparison.Case.ModelPath), "");
        Activations.Watch(comparison, model);
        comparison.Check("out.latents", model.Encode(comparison.Input("image")));
    }

    private static void CheckDecodeVQ(Comparison comparison, bool quantize)
    {
        using var model = VQModel.Load(ModelFolder.Open(comparison.Case.ModelPath), "");
        Activations.Watch(comparison, model);
        var latents = comparison.Input("latents");
        comparison.Check("out.image", model.Decode(latents, quantize));
        var (quantized, indices) = model.Quantize(latents);
        comparison.Check("out.quantized", quantized);
        comparison.Check("out.indices", indices);
    }

    private static string ClassOf(ReferenceCase reference)
    {
        using var config = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(reference.ModelPath, "config.json")));
        return config.RootElement.TryGetProperty("_class_name", out var name) ? name.GetString()! : "";
    }
}
