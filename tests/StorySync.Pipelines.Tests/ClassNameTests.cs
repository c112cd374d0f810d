using System.Text.Json.Nodes;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests;

/// <summary>The class names that models' folders have, and folders that leave parts out.</summary>
public class ClassNameTests
{
    [Theory]
    [InlineData("tiny-sdxl", "StableDiffusionXLImg2ImgPipeline", typeof(StableDiffusionXLPipeline))]
    [InlineData("tiny-sdxl", "StableDiffusionXLInpaintPipeline", typeof(StableDiffusionXLPipeline))]
    [InlineData("tiny-flux", "FluxImg2ImgPipeline", typeof(FluxPipeline))]
    [InlineData("tiny-flux", "FluxInpaintPipeline", typeof(FluxPipeline))]
    [InlineData("tiny-kandinsky3", "Kandinsky3Img2ImgPipeline", typeof(Kandinsky3Pipeline))]
    [InlineData("tiny-kandinsky3", "KandinskyV3Pipeline", typeof(Kandinsky3Pipeline))]
    [InlineData("tiny-kandinsky3", "KandinskyV3Img2ImgPipeline", typeof(Kandinsky3Pipeline))]
    public void A_pipeline_s_other_names_are_read(string model, string name, Type expected)
    {
        using var copy = Copy(model).Set("model_index.json", "_class_name", name);
        using var pipeline = DiffusionPipeline.Load(copy.Path, new() { Device = "cpu" });

        Assert.IsType(expected, pipeline);
        Assert.Empty(pipeline.Warnings);
    }

    [Theory]
    [InlineData("StableDiffusionXLControlNetPipeline", "SDXL with a ControlNet; load its base model")]
    [InlineData("StableDiffusionPipeline", "Stable Diffusion 1 or 2")]
    [InlineData("StableDiffusion3Pipeline", "Stable Diffusion 3")]
    [InlineData("FluxKontextPipeline", "FLUX.1 Kontext")]
    [InlineData("FluxFillPipeline", "FLUX.1 Fill")]
    [InlineData("KandinskyV22Pipeline", "Kandinsky 2")]
    public void A_class_that_is_none_of_these_is_called_by_what_it_is(string name, string expected)
    {
        using var copy = Copy("tiny-sdxl").Set("model_index.json", "_class_name", name);
        var error = Assert.Throws<ModelFileException>(() => DiffusionPipeline.Load(copy.Path, new() { Device = "cpu" }));

        Assert.Contains($"'_class_name' is {name}, which is not supported: it is {expected}", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_refiner_is_refused_in_words()
    {
        using var copy = Copy("tiny-sdxl").Set("model_index.json", "_class_name", "StableDiffusionXLImg2ImgPipeline")
            .Set("model_index.json", "requires_aesthetics_score", true)
            .Set("model_index.json", "text_encoder", null).Set("model_index.json", "tokenizer", null);
        var error = Assert.Throws<ModelFileException>(() => DiffusionPipeline.Load(copy.Path, new() { Device = "cpu" }));

        Assert.Contains("refiner", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Components_that_a_model_does_without_may_be_null_named_or_absent()
    {
        using var copy = Copy("tiny-sdxl").Set("model_index.json", "feature_extractor", null)
            .Remove("model_index.json", "image_encoder")
            .Set("model_index.json", "safety_checker", new JsonArray("stable_diffusion", "StableDiffusionSafetyChecker"))
            .Set("model_index.json", "add_watermarker", null);
        using var pipeline = DiffusionPipeline.Load(copy.Path, new() { Device = "cpu" });

        Assert.Empty(pipeline.Warnings);
    }

    [Theory]
    [InlineData("text_encoder", "this model needs the component")]
    [InlineData("tokenizer_2", "this model needs the component")]
    [InlineData("scheduler", "this model needs the component")]
    [InlineData("vae", "this model needs the component")]
    public void A_component_that_is_needed_and_null_is_named(string component, string expected)
    {
        using var copy = Copy("tiny-sdxl").Set("model_index.json", component, new JsonArray(null, null));
        var error = Assert.Throws<ModelFileException>(() => DiffusionPipeline.Load(copy.Path, new() { Device = "cpu" }));

        Assert.Contains($"'{component}'", error.Message, StringComparison.Ordinal);
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tokenizer_2")]
    [InlineData("scheduler")]
    public void A_component_s_folder_that_is_missing_is_named(string component)
    {
        using var copy = Copy("tiny-sdxl");
        Directory.Delete(copy.PathOf(component), recursive: true);
        var error = Assert.Throws<ModelFileException>(() => DiffusionPipeline.Load(copy.Path, new() { Device = "cpu" }));

        Assert.Contains(component, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pickle_is_refused_with_a_way_that_needs_no_other_language()
    {
        using var folder = new TemporaryFolder();
        var error = Assert.Throws<ModelFileException>(() => DiffusionPipeline.Load(folder.Write("model.ckpt", [0x80, 2, 1, 0])));

        Assert.Contains("safetensors version", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("Python", error.Message, StringComparison.Ordinal);
    }

    private static ModelCopy Copy(string model) => new(Path.Combine(ReferenceData.OwnRoot, "models", model));
}
