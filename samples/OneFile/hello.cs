#:project ../../src/StorySync.Pipelines/StorySync.Pipelines.csproj
#:property PublishAot=false

// dotnet run samples/OneFile/hello.cs: the smallest program. In a project of your own, `#:package StorySync@0.1.0` stands in place of the
// first line; PublishAot is on by default for programs of one file, and StorySync does not support it.
using StorySync.Pipelines;

using var pipeline = DiffusionPipeline.Load("storybook");
using var result = pipeline.Generate(new GenerationRequest { Prompts = ["a rabbit in the snow"], Seed = 7 });
result.Images[0].SavePng("hello.png");
Console.WriteLine("hello.png: a rabbit in the snow");
