using System.CommandLine;
using StorySync.Attention;
using StorySync.Pipelines;
using TorchSharp;

namespace StorySync.Samples.StoryStrip;

/// <summary>The command line: its options and what they mean.</summary>
internal sealed class StoryCommand
{
    private readonly Option<string> model = CommandLine.Name(
        "--model", "A model folder in diffusers' layout, organisation/name in the Hugging Face cache, or the embedded model.", "storybook",
            "-m");

    private readonly Option<string> storyFile = CommandLine.Name(
        "--story", "A story in a YAML or JSON file, in the format of Stories/story.schema.json. Other options override what it says.");

    private readonly Option<string[]> scenes = new("--scene", "-s")
    {
        Description = "A scene's prompt; repeat the option for each scene.", Arity = ArgumentArity.OneOrMore,
            AllowMultipleArgumentsPerToken = false,
    };

    private readonly Option<string[]> subjects = new("--subject")
    {
        Description = "The phrase that stands for a subject in the prompts; repeat the option for several.",
        Arity = ArgumentArity.OneOrMore,
        AllowMultipleArgumentsPerToken = false,
    };

    private readonly Option<string?> negative = new("--negative") { Description = "Negative prompt for all scenes." };

    private readonly Option<long?> seed = CommandLine.Seed(
        "--seed", "Seed of the first scene; each further one has the next. [default: the story's, else 7]");

    private readonly Option<int?> steps = CommandLine.Whole(
        "--steps", Ranges.Steps, "Denoising steps. [default: the model's, 20 for the embedded one]");

    private readonly Option<double?> guidance = CommandLine.Number(
        "--guidance", NumberRange.Any, "Classifier-free guidance scale. [default: the model's, 4 for the embedded one]");

    private readonly Option<double?> guidanceEnd = CommandLine.Number(
        "--guidance-end", Ranges.GuidanceEnd,
            "Fraction of the steps that use guidance; the others take half the time. Approximate below 1. [default: 1]");

    private readonly Option<double?> blockCache = CommandLine.Number(
        "--block-cache", NumberRange.NotNegative,
            "Block cache threshold: relative change below which a step reuses the deeper blocks. Approximate above 0. [default: 0]");

    private readonly Option<int?> width = CommandLine.Whole("--width", Ranges.Side, "Width in pixels. [default: the model's]");

    private readonly Option<int?> height = CommandLine.Whole("--height", Ranges.Side, "Height in pixels. [default: the model's]");

    private readonly Option<bool> sameNoise = new("--same-noise") { Description = "Begin all scenes from the same noise." };

    private readonly Option<int?> anchors = CommandLine.Whole(
        "--anchors", new NumberRange(1, GenerationRequest.MaxImages),
            "The first so many scenes read each other, and all others read them alone. [default: all read each other]");

    private readonly Option<string?> saveBank = new("--save-bank")
    {
        Description = "Write the anchors to this file, for scenes to be added at any time; needs --anchors.",
    };

    private readonly Option<string?> bank = new("--bank")
    {
        Description = "Draw the scenes with the anchors of this file, which --save-bank wrote; without the plain model's row.",
    };

    private readonly Option<double?> sharing = CommandLine.Number(
        "--sharing", NumberRange.NotNegative, "Strength of attention sharing; 0 turns it off. [default: the model's]");

    private readonly Option<double?> dropout = CommandLine.Number(
        "--dropout", Ranges.Dropout, "Fraction of the other scenes' tokens that is dropped at random, 0 to 0.99. [default: the model's]");

    private readonly Option<bool> shareAll = new("--share-all-queries") { Description = "Let backgrounds attend to other scenes too." };

    private readonly Option<double?> harmonization = CommandLine.Number(
        "--harmonization", NumberRange.Fraction, "Strength of feature harmonization, 0 to 1; 0 turns it off. [default: the model's]");

    private readonly Option<double?> threshold = CommandLine.Number(
        "--harmonization-threshold", Ranges.Threshold, "Cosine similarity above which features blend, -1 to 1. [default: the model's]");

    private readonly Option<double?> layout = CommandLine.Number(
        "--layout", NumberRange.Fraction,
            "Strength of layout interpolation at the first step, 0 to 1; 0 turns it off. [default: the model's]");

    private readonly Option<double?> layoutUntil = CommandLine.Number(
        "--layout-until", NumberRange.Fraction, "Fraction of the steps that interpolate layouts, 0 to 1. [default: the model's]");

    private readonly Option<bool> noPlain = new("--no-plain") { Description = "Omit the plain model's row; takes half the time." };

    private readonly Option<bool> masks = new("--masks") { Description = "Write the subjects' masks too." };

    private readonly Option<bool> previews = new("--previews")
    {
        Description = "Write, for every step, what the model then expects the scenes to be, from their latents: coarse.",
    };

    private readonly Option<bool> plan =
        new("--plan") { Description = "Estimate the memory that the story requires, and do nothing else." };

    private readonly Option<string> device = CommandLine.Device("--device");

    private readonly Option<string> dtype =
        CommandLine.Choice("--dtype", "Data type of the computation.", "float32", "bfloat16", "float16");

    private readonly Option<string> variant = CommandLine.Name("--variant", "Preferred variant of the weight files, such as fp16.");

    private readonly Option<bool> tiledDecoding =
        new("--tiled-decoding") { Description = "Decode each scene in tiles: less memory, slightly different pixels." };

    private readonly Option<bool> streamBlocks =
        new("--stream-blocks") { Description = "Keep one block of FLUX on the device at a time: less memory, slower." };

    private readonly Option<bool> offload =
        new("--offload") { Description = "Keep a component on the device only while it is used: less device memory, slower." };

    private readonly Option<bool> noMemoryCheck =
        new("--no-memory-check") { Description = "Begin even if the story does not fit into memory." };

    private readonly Option<string> output = CommandLine.Name("--output", "The folder to write to.", "story-output", "-o");

    private StoryCommand()
    {
    }

    public static RootCommand Create()
    {
        var self = new StoryCommand();
        var command =
            new RootCommand("Creates a story in images whose character stays the same, next to what the plain model makes of it.");
        foreach (var option in self.Options)
        {
            command.Add(option);
        }

        command.SetAction(self.RunAsync);
        return command;
    }

    private IEnumerable<Option> Options =>
    [
        model, storyFile, scenes, subjects, negative, seed, steps, guidance, guidanceEnd, blockCache, width, height, sameNoise,
        anchors, saveBank, bank, sharing, dropout, shareAll, harmonization, threshold, layout, layoutUntil,
        noPlain, masks, previews, plan, device, dtype, variant, tiledDecoding, streamBlocks, offload, noMemoryCheck, output,
    ];

    private Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var (console, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        return CommandLine.GuardedAsync(error, "nothing was written.", () =>
        {
            var settings = Settings(parsed);
            return parsed.GetValue(plan)
                ? new PlanRun(settings, console, error).RunAsync(cancellationToken)
                : new StoryRun(settings, console, error).RunAsync(cancellationToken);
        });
    }

    private StorySettings Settings(ParseResult parsed)
    {
        var modelName = parsed.GetValue(model)!;
        var isAnchored = parsed.GetValue(anchors) is not null;
        var usesBank = parsed.GetValue(bank) is not null;
        Require(!isAnchored || !usesBank, "--anchors and --bank exclude each other: a bank has its anchors.");
        Require(isAnchored || parsed.GetValue(saveBank) is null, "--save-bank needs --anchors: anchors are what is written.");
        Require(!(isAnchored || usesBank) || !parsed.GetValue(previews), "--previews is not for --anchors or --bank.");
        Require(!usesBank || !parsed.GetValue(plan), "--plan is not for --bank.");
        var story = Story(parsed);
        return new StorySettings
        {
            Model = modelName,
            Pipeline = new PipelineOptions
            {
                Device = CheckedDevice(parsed.GetValue(device)!),
                Dtype = Enum.Parse<torch.ScalarType>(parsed.GetValue(dtype)!, ignoreCase: true),
                Variant = parsed.GetValue(variant),
                TiledDecoding = parsed.GetValue(tiledDecoding),
                StreamBlocks = parsed.GetValue(streamBlocks),
                Offload = parsed.GetValue(offload),
                ChecksMemory = !parsed.GetValue(noMemoryCheck),
            },
            Story = story.ToStory(),
            ScenePlaces = [.. story.Scenes.Select(scene => scene.Place)],
            Options = new StoryOptions
            {
                Request = new GenerationRequest
                {
                    NegativePrompts = (parsed.GetValue(negative) ?? story.Negative) is { } avoided ? [avoided] : null,
                    Seed = parsed.GetValue(seed) ?? story.Seed ?? 7,
                    Steps = parsed.GetValue(steps) ?? story.Steps,
                    GuidanceScale = parsed.GetValue(guidance) ?? story.Guidance,
                    GuidanceEnd = parsed.GetValue(guidanceEnd) ?? 1,
                    BlockCacheThreshold = parsed.GetValue(blockCache) ?? 0,
                    PreviewInterval = parsed.GetValue(previews) ? 1 : 0,
                    Width = parsed.GetValue(width) ?? story.Width,
                    Height = parsed.GetValue(height) ?? story.Height,
                },
                SameNoise = parsed.GetValue(sameNoise),
                Anchors = parsed.GetValue(anchors),
                Techniques = Techniques(parsed),
            },
            WithPlain = !parsed.GetValue(noPlain) && !usesBank,
            Bank = parsed.GetValue(bank),
            SaveBank = parsed.GetValue(saveBank),
            WithMasks = parsed.GetValue(masks),
            Output = parsed.GetValue(output)!,
        };
    }

    /// <summary>The story of the file, of the command line, or of both: what the command line says comes first.</summary>
    private StoryFile Story(ParseResult parsed)
    {
        var prompts = parsed.GetValue(scenes) ?? [];
        var phrases = parsed.GetValue(subjects) ?? [];
        var story = parsed.GetValue(storyFile) is { } path ? StoryFile.Load(path) : prompts.Length > 0 ? new StoryFile()
            : StoryFile.Default;
        if (prompts.Any(string.IsNullOrWhiteSpace) || phrases.Any(string.IsNullOrWhiteSpace))
        {
            throw new UserErrorException($"{(prompts.Any(string.IsNullOrWhiteSpace) ? "--scene" : "--subject")} must not be empty.");
        }

        return story with
        {
            Scenes = prompts.Length > 0 ? [.. prompts.Select((prompt, i) => new StoryFileScene(prompt) { Place = $"--scene {i + 1}" })]
                : story.Scenes,
            Subjects = phrases.Length > 0 ? phrases : story.Subjects,
        };
    }

    private static void Require(bool holds, string message)
    {
        if (!holds)
        {
            throw new UserErrorException(message);
        }
    }

    private static string CheckedDevice(string name)
    {
        try
        {
            _ = new PipelineOptions { Device = name }.ResolveDevice();
            return name;
        }
        catch (ArgumentException exception)
        {
            throw new UserErrorException(
                $"--device is '{name}', which this machine does not have; a CUDA device needs a driver and a build with "
                    + $"-p:TorchBackend=cuda-linux or cuda-windows.",
                exception);
        }
    }

    /// <summary>What the command line does not say is as it suits the model.</summary>
    private StoryAttentionOptions Techniques(ParseResult parsed) => new()
    {
        Sharing = new()
        {
            Strength = parsed.GetValue(sharing),
            Dropout = parsed.GetValue(dropout),
            SubjectQueriesOnly = parsed.GetValue(shareAll) ? false : null,
        },
        Harmonization = new() { Alpha = parsed.GetValue(harmonization), Threshold = parsed.GetValue(threshold) },
        Layout = new() { Start = parsed.GetValue(layout), Until = parsed.GetValue(layoutUntil) },
    };
}
