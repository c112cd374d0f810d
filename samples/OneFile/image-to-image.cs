#:project ../../src/StorySync.Pipelines/StorySync.Pipelines.csproj
#:property PublishAot=false

// Image to image: begins from an image and changes a part of it. Any PNG, JPEG or WebP file will do for the first one.
using StorySync.Pipelines;

using var pipeline = DiffusionPipeline.Load("storybook");
var request = new GenerationRequest
{
    Prompts = ["a green rabbit in the forest"], Seed = 7, Steps = args is [var steps] ? int.Parse(steps) : null,
};
using var first = pipeline.Generate(request);
first.Images[0].SavePng("day.png");

using var second = pipeline.Generate(request with
{
    Prompts = ["a green rabbit in the forest at night"], Images = [RgbImage.Load("day.png")], Strength = 0.6,
});
second.Images[0].SavePng("night.png");
