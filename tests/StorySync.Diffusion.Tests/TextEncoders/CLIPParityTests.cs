using StorySync.Diffusion.TextEncoders;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.TextEncoders;

public class CLIPParityTests
{
    public static TheoryData<string> Cases() => ReferenceData.CaseNames(c => c.Group == "clip");

    [Theory]
    [MemberData(nameof(Cases))]
    public void CLIP_is_that_of_transformers(string name)
    {
        using var mode = inference_mode();
        using var comparison = new Comparison(ReferenceData.Case(name));
        var folder = ModelFolder.Open(comparison.Case.ModelPath);
        switch (comparison.Case.Call.Split('.', '(')[1])
        {
            case nameof(CLIPModel):
                Compare(comparison, folder);
                break;
            case "CLIPImageProcessorPil":
                var image = comparison.Input("image").to(ScalarType.Byte);
                comparison.Check("out.pixel_values", CLIPImageProcessor.Load(folder).Preprocess(image));
                break;
            default:
                Assert.Fail($"{name} is of a kind these tests do not know: {comparison.Case.Call}.");
                break;
        }

        comparison.AssertAll();
    }

    private static void Compare(Comparison comparison, ModelFolder folder)
    {
        using var model = CLIPModel.Load(folder);
        Activations.Watch(comparison, model);
        var vision = (CLIPVisionTransformer)model.named_modules().Single(m => m.name == "vision_model").module;
        vision.register_forward_hook((_, _, _, result) =>
        {
            comparison.Check("out.vision_last_hidden_state", result.LastHiddenState);
            return result;
        });
        var (ids, pixels) = (comparison.Input("input_ids"), comparison.Input("pixel_values"));
        var output = model.call(ids, pixels, CancellationToken.None);

        comparison.Check("out.image_embeds", output.ImageEmbeds);
        comparison.Check("out.text_embeds", output.TextEmbeds);
        comparison.Check("out.logits_per_image", output.LogitsPerImage);
        comparison.Check("out.vision_pooler_output", model.GetImageFeatures(pixels));
        comparison.Check("out.text_pooler_output", model.GetTextFeatures(ids));
    }
}
