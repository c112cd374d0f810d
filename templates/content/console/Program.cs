using StorySync.Pipelines;

// The embedded model; or a model folder, or organisation/name of a model that `storysync pull` downloaded.
using var pipeline = DiffusionPipeline.Load("storybook");

var story = new Story
{
    Subjects = ["a rabbit"],
    Scenes = [new("a rabbit standing in the forest"), new("a rabbit waving at the beach"), new("a rabbit jumping in the snow")],
};
var options = new StoryOptions { Request = new() { Seed = 7 } };

// The first argument can say in how many steps each scene is drawn; without it the model's own number is taken.
if (args is [var steps, ..])
{
    options = options with { Request = options.Request with { Steps = int.Parse(steps) } };
}

using var result = pipeline.GenerateStory(story, options);
for (var i = 0; i < result.Scenes.Count; i++)
{
    result.Scenes[i].Image.SavePng($"scene-{i + 1}.png");
    Console.WriteLine($"scene-{i + 1}.png: {result.Scenes[i].Prompt}");
}
