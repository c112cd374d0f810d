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
        var (ids, pixels) = (comparison.Input("input_ids"), comparison.Input("pixel_values"));
        var output = model.call(ids, pixels, CancellationToken.None);

        // transformers has the patches as tokens, row by row, after the class token.
        var tokens = comparison.Golden("out.vision_last_hidden_state");
        var patches = model.GetImagePatches(pixels);
        Assert.Equal([pixels.shape[0], patches.shape[1], patches.shape[1], tokens.shape[2]], patches.shape);
        comparison.Check("out.vision_last_hidden_state", cat([tokens.narrow(1, 0, 1), patches.flatten(1, 2)], 1));

        comparison.Check("out.image_embeds", output.ImageEmbeds);
        comparison.Check("out.text_embeds", output.TextEmbeds);
        comparison.Check("out.logits_per_image", output.LogitsPerImage);
        comparison.Check("out.vision_pooler_output", model.GetImageFeatures(pixels));
        comparison.Check("out.text_pooler_output", model.GetTextFeatures(ids));
    }
}
