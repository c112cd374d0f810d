using System.CommandLine;
using System.Globalization;
using StorySync.Pipelines;

namespace StorySync.Samples.Evaluate;

/// <summary>The command <c>preview-fit</c>: the numbers by which a model's previews are painted.</summary>
internal static class PreviewFitCommand
{
    public static Command Create()
    {
        var model = CommandLine.Name(
            "--model", "A model folder in diffusers' layout, organisation/name in the Hugging Face cache, or the embedded model.",
                "storybook", "-m");
        var prompts = CommandLine.Name("--prompts", "A prompt set in YAML or JSON. [default: that of the embedded model]", null, "-p");
        var images = CommandLine.Whole("--images", new(1, 100_000), "Number of images to fit. [default: 48]");
        var steps = CommandLine.Whole("--steps", new(1, GenerationRequest.MaxSteps), "Denoising steps. [default: the model's]");
        var size = CommandLine.Whole(
            "--size", new(8, GenerationRequest.MaxSide), "Height and width in pixels. [default: the model's]");
        var seed = CommandLine.Seed("--seed", "The seed of the first image. [default: 7]");
        var device = CommandLine.Device("--device");
        var command = new Command("preview-fit",
            "Makes images and fits their colors to their latents; prints entries for the model's storysync.json.")
        {
            model, prompts, images, steps, size, seed, device,
        };
        command.SetAction((parsed, cancellationToken) => CommandLine.GuardedAsync(
            parsed.InvocationConfiguration.Error,
            "nothing was printed.",
            async () =>
            {
                var (console, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
                var set = parsed.GetValue(prompts) is { } file ? PromptSet.Load(file) : PromptSet.BuiltIn();
                await error.WriteLineAsync($"Loading {parsed.GetValue(model)} …");
                using var pipeline = await DiffusionPipeline.LoadAsync(
                    parsed.GetValue(model)!,
                    new PipelineOptions { Device = parsed.GetValue(device)! },
                    cancellationToken: cancellationToken);
                var count = parsed.GetValue(images) ?? 48;
                var all = Spread(set, count);
                var fit = await Task.Run(
                    () => PreviewFit.Of(
                        pipeline,
                        new GenerationRequest
                        {
                            Steps = parsed.GetValue(steps), Height = parsed.GetValue(size), Width = parsed.GetValue(size),
                        },
                        all,
                        parsed.GetValue(seed) ?? 7,
                        made => error.WriteLine($"image {made} of {all.Count}"),
                        cancellationToken),
                    cancellationToken);
                console.WriteLine(fit.Entries);
                await error.WriteLineAsync(
                    string.Create(CultureInfo.InvariantCulture, $"The fit explains {fit.Explained:p1} of the colors' variance."));
            }));
        return command;
    }

    /// <summary>So many prompts, from every story one before any has a second.</summary>
    private static IReadOnlyList<string> Spread(IReadOnlyList<PromptStory> set, int count) =>
        [.. set.SelectMany(story => story.Prompts.Index()).OrderBy(prompt => prompt.Index).Select(prompt => prompt.Item).Take(count)];
}
