#:project ../../src/StorySync.Pipelines/StorySync.Pipelines.csproj
#:property PublishAot=false

// A story: the frog's looks are left open by the prompts, and are the same in all scenes.
using StorySync.Pipelines;

using var pipeline = DiffusionPipeline.Load("storybook");
var story = new Story
{
    Subjects = ["a frog"],
    Scenes = [new("a frog standing in the forest"), new("a frog waving at the beach"), new("a frog jumping in the snow")],
};
var request = new GenerationRequest { Seed = 7, Steps = args is [var steps] ? int.Parse(steps) : null };
using var result = pipeline.GenerateStory(story, new StoryOptions { Request = request });
for (var i = 0; i < result.Scenes.Count; i++)
{
    var scene = result.Scenes[i];
    scene.Image.SavePng($"scene-{i + 1}.png");
    Console.WriteLine($"scene-{i + 1}.png: {scene.Prompt}, consistency {scene.Consistency:f2}");
}
