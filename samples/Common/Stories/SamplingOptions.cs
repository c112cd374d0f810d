using System.CommandLine;
using StorySync.Diffusion.Schedulers;
using StorySync.Pipelines;

namespace StorySync.Samples;

/// <summary>The options that say how prompts are read and steps are taken.</summary>
internal sealed class SamplingOptions
{
    private readonly Option<string?> preset = CommandLine.OptionalChoice(
        "--preset", "Scheduler, steps and guidance of models that were distilled to few steps. [default: the model's, if it has one]",
            [.. SamplingPreset.All.Select(preset => preset.Name)]);

    private readonly Option<string?> scheduler = CommandLine.OptionalChoice(
        "--scheduler", "The scheduler's class in diffusers, such as DPMSolverMultistepScheduler. [default: the model's]",
            [.. Scheduler.ClassNames]);

    private readonly Option<string?> promptSyntax = CommandLine.OptionalChoice(
        "--prompt-syntax", "On SDXL: plain cuts prompts after 75 tokens, long reads all of them, weighted also takes (word:1.3) for a "
            + "weight. [default: plain]",
            "plain", "long", "weighted");

    public IEnumerable<Option> All => [preset, scheduler, promptSyntax];

    /// <summary>The options that only SDXL has.</summary>
    public IEnumerable<Option> ForSdxl => [promptSyntax];

    /// <summary>A request that says this and nothing else.</summary>
    public GenerationRequest Of(ParseResult parsed) =>
        (parsed.GetValue(promptSyntax) is { } syntax
            ? new StableDiffusionXLRequest { PromptSyntax = Enum.Parse<PromptSyntax>(syntax, ignoreCase: true) }
            : new GenerationRequest()) with
        {
            Preset = parsed.GetValue(preset) is { } name ? SamplingPreset.Parse(name) : null,
            Scheduler = parsed.GetValue(scheduler) is { } className ? new SchedulerChoice(className) : null,
        };
}
