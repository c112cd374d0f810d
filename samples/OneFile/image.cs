#:project ../../src/StorySync.Pipelines/StorySync.Pipelines.csproj
#:property PublishAot=false

// Plain images: several of one prompt, with progress, and read from a file how it was made.
using StorySync.Pipelines;

using var pipeline = DiffusionPipeline.Load("storybook");
var request = new GenerationRequest
{
    Prompts = ["a yellow cat sitting in the forest"],
    NegativePrompts = ["a red cat"],
    ImagesPerPrompt = 2,
    Seed = 7,
    Steps = args is [var steps] ? int.Parse(steps) : null,
};
using var result = pipeline.Generate(request, new Progress<GenerationProgress>(p => Console.WriteLine($"{p.Stage} {p.Step}/{p.Steps}")));
for (var i = 0; i < result.Images.Count; i++)
{
    result.Images[i].SavePng($"cat-{result.Seeds[i]}.png");
}

Console.WriteLine(RgbImage.ReadParameters("cat-7.png"));
