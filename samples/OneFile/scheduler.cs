#:project ../../src/StorySync.Pipelines/StorySync.Pipelines.csproj
#:property PublishAot=false

// Another scheduler, and LoRAs: each argument is a LoRA file, which is merged into the weights at 0.8 of its strength.
using StorySync.Pipelines;

using var pipeline = DiffusionPipeline.Load("storybook");
foreach (var file in args)
{
    pipeline.Loras.Load(file, Path.GetFileNameWithoutExtension(file), 0.8);
}

using var result = pipeline.Generate(new GenerationRequest
{
    Prompts = ["a bear at the beach"], Seed = 7, Steps = 8, Scheduler = "DPMSolverMultistepScheduler",
});
result.Images[0].SavePng("bear.png");
Console.WriteLine($"bear.png, {result.Timings.Total.TotalSeconds:f1} s");
