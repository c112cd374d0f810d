#:project ../../src/StorySync.Pipelines/StorySync.Pipelines.csproj
#:property PublishAot=false

// A bank: keeps a character in a file, and draws a further scene with it at any time.
using StorySync.Pipelines;

using var pipeline = DiffusionPipeline.Load("storybook");
var anchors = new Story { Subjects = ["a frog"], Scenes = [new("a frog in the forest"), new("a frog at the beach")] };
var request = new GenerationRequest { Seed = 7, Steps = args is [var steps] ? int.Parse(steps) : null };
using (var made = pipeline.CreateBank(anchors, new StoryOptions { Request = request }))
{
    made.Save("frog.storybank");
}

using var bank = StoryBank.Load("frog.storybank");
Console.WriteLine(bank.Describe());
using var result = pipeline.GenerateScenes(bank, [new("a frog in the snow") { Seed = 9 }]);
result.Scenes[0].Image.SavePng("frog-in-the-snow.png");
