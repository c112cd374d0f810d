using System.CommandLine;
using StorySync.Attention;
using StorySync.Documents;
using StorySync.Pipelines;

namespace StorySync.Samples;

/// <summary>What a command does with a story.</summary>
internal enum StoryTask
{
    /// <summary>What its options say.</summary>
    Any,

    /// <summary>Draw it.</summary>
    Draw,

    /// <summary>Estimate its memory.</summary>
    Plan,

    /// <summary>Draw one of its scenes again.</summary>
    Redraw,
}

/// <summary>The commands that take a story: their options and what they mean.</summary>
internal sealed class StoryCommand
{
    private const double DefaultHiresStrength = 0.4;

    /// <summary>The story that is told when none is given. What the frog looks like is left open.</summary>
    private static readonly StoryFile DefaultStory = new()
    {
        Subjects = ["a frog"],
        Seed = 307,
        Scenes =
        [
            new("a frog sitting in the forest"),
            new("a frog holding a balloon at the beach"),
            new("a frog standing in the snow"),
            new("a frog waving in the city"),
        ],
    };

    private readonly StoryTask task;
    private readonly Option<bool>? json;

    private readonly Argument<int> number = new("number") { Description = "The number of the scene to draw again." };

    private readonly ModelOptions model = new();

    private readonly SamplingOptions sampling = new();

    private readonly Option<string> storyFile = CommandLine.Name(
        "--story", "A story in a YAML or JSON file, in the format of Stories/story.schema.json. Other options override what it says.");

    private readonly Option<string[]> scenes = CommandLine.Repeated(
        "--scene", "A scene's prompt; repeat the option for each scene.", "-s");

    private readonly Option<string[]> subjects = CommandLine.Repeated(
        "--subject", "The phrase that stands for a subject in the prompts; repeat the option for several.");

    private readonly Option<string?> negative = new("--negative") { Description = "Negative prompt for all scenes." };

    private readonly Option<long?> seed = CommandLine.Seed(
        "--seed", "Seed of the first scene; each further one has the next. [default: the story's, else 7]");

    private readonly Option<int?> steps = CommandLine.Whole(
        "--steps", NumberRange.Steps, "Denoising steps. [default: the model's, 20 for the embedded one]");

    private readonly Option<double?> guidance = CommandLine.Number(
        "--guidance", NumberRange.Any, "Classifier-free guidance scale. [default: the model's, 4 for the embedded one]");

    private readonly Option<double?> guidanceEnd = CommandLine.Number(
        "--guidance-end", Ranges.GuidanceEnd,
            "Fraction of the steps that use guidance; the others take half the time. Approximate below 1. [default: 1]");

    private readonly Option<double?> blockCache = CommandLine.Number(
        "--block-cache", NumberRange.NotNegative,
            "Block cache threshold: relative change below which a step reuses the deeper blocks. Approximate above 0. [default: 0]");

    private readonly Option<int?> width = CommandLine.Whole("--width", NumberRange.Side, "Width in pixels. [default: the model's]");

    private readonly Option<int?> height = CommandLine.Whole("--height", NumberRange.Side, "Height in pixels. [default: the model's]");

    private readonly Option<bool> sameNoise = new("--same-noise") { Description = "Begin all scenes from the same noise." };

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

    private readonly Option<int?> anchors = CommandLine.Whole(
        "--anchors", Ranges.Scenes,
            "Number of anchors: the first scenes, which read each other; all others read the anchors alone, so that a story can have any "
                + "number of scenes. [default: all scenes read each other]");

    private readonly Option<string> saveBank = CommandLine.Name(
        "--save-bank", "Write the anchors to a file, to draw further scenes with them later; without --anchors, all scenes are anchors.");

    private readonly Option<string> bankForm = CommandLine.Choice(
        "--bank-form",
        "What is kept of the anchors: trajectory, which is small and has them computed along with further scenes, or keys, which are large "
            + "and have further scenes take the plain model's time.",
        "trajectory",
        "keys");

    private readonly Option<string> bank = CommandLine.Name(
        "--bank", "Draw the scenes with the anchors of a file that --save-bank wrote, or of a character, and with their subjects and "
            + "settings.");

    private readonly Option<int?> redraw = CommandLine.Whole(
        "--redraw", Ranges.Scenes,
            "With --bank: draw only the scene of this number again, with the seed after the story's largest or with --seed; the images "
                + "of the others are those in the output folder.");

    private readonly Option<string[]> subjectImages = CommandLine.Repeated(
        "--subject-image", "An image of your own that shows the first subject: an anchor that all scenes read. It is stretched to the "
            + "scenes' size; where it is transparent, the subject is not, and without transparency it is found. Repeat the option for "
            + "several.");

    private readonly Option<int?> hires = CommandLine.Whole(
        "--hires", Ranges.Hires,
        "Draw the finished scenes a second time, so many times as large, from their enlarged images and with their masks. "
            + "[default: once, at their size]");

    private readonly Option<double?> hiresStrength = CommandLine.Number(
        "--hires-strength", Ranges.Strength,
        "The last share of the steps that --hires runs: the more, the more it changes. [default: 0.4]");

    private readonly Option<bool> noPlain = new("--no-plain") { Description = "Omit the plain model's row; takes half the time." };

    private readonly Option<bool> masks = new("--masks") { Description = "Write the subjects' masks too." };

    private readonly Option<bool> previews = new("--previews")
    {
        Description = "Write, for every step, what the model then expects the scenes to be, from their latents: coarse.",
    };

    private readonly Option<bool> plan =
        new("--plan") { Description = "Estimate the memory that the story requires, and do nothing else." };

    private readonly Option<string> from = CommandLine.Name(
        "--from", "Make the story again that a scene is from, by what its PNG file says of itself, and compare the two; with --bank where "
            + "it was drawn with one.");

    private readonly Option<string> output = CommandLine.Name("--output", "The folder to write to.", "story-output", "-o");

    private StoryCommand(StoryTask task, Option<bool>? json) => (this.task, this.json) = (task, json);

    /// <summary>Creates the command of a program that does nothing else.</summary>
    public static RootCommand Create() => new StoryCommand(StoryTask.Any, null).Complete(
        new RootCommand("Creates a story in images whose character stays the same, next to what the plain model makes of it."));

    /// <summary>Creates a command of a program with several.</summary>
    /// <param name="command">The command, without options.</param>
    /// <param name="task">What it does.</param>
    /// <param name="json">The option to write results as JSON.</param>
    public static Command Create(Command command, StoryTask task, Option<bool> json) => new StoryCommand(task, json).Complete(command);

    private T Complete<T>(T command)
        where T : Command
    {
        if (task == StoryTask.Redraw)
        {
            bank.Required = true;
            number.Validators.Add(result =>
            {
                if (result.GetValue(number) < 1)
                {
                    result.AddError("The number of the scene must be at least 1.");
                }
            });
            command.Add(number);
        }

        Option[] omitted = task switch
        {
            StoryTask.Any => [from],
            StoryTask.Plan => [plan, redraw, from, saveBank, bankForm, noPlain, masks, previews, output],
            StoryTask.Redraw => [.. sampling.All, plan, redraw, from, saveBank, bankForm, subjectImages, hires, hiresStrength, noPlain],
            _ => [plan, redraw],
        };
        foreach (var option in Options.Except(omitted))
        {
            command.Add(option);
        }

        command.SetAction(RunAsync);
        return command;
    }

    private IEnumerable<Option> Options =>
    [
        .. model.All, .. sampling.All, storyFile, scenes, subjects, negative, seed, steps, guidance, guidanceEnd, blockCache, width, height,
        sameNoise, sharing, dropout, shareAll, harmonization, threshold, layout, layoutUntil, anchors, saveBank, bankForm, bank, redraw,
        subjectImages, hires, hiresStrength,
        noPlain, masks, previews, plan, from, output,
    ];

    private Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        var (console, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        return CommandLine.GuardedAsync(error, "nothing was written.", async () =>
        {
            var original = Original(parsed);
            if (original is null)
            {
                CheckTogether(parsed);
            }

            using var kept = BankFile.Load(parsed.GetValue(bank));
            var settings = original is null ? Settings(parsed, kept) : Settings(original, parsed, kept);
            var results = new ResultWriter(console, json is not null && parsed.GetValue(json));
            await (task == StoryTask.Plan || parsed.GetValue(plan)
                ? new PlanRun(settings, results, error).RunAsync(cancellationToken)
                : new StoryRun(settings, results, error).RunAsync(cancellationToken));
        });
    }

    /// <summary>The image whose story is made again; null where none is given.</summary>
    /// <exception cref="UserErrorException">It does not say which story, or another option contradicts what it says.</exception>
    private OriginalImage? Original(ParseResult parsed)
    {
        if (!parsed.IsGiven(from))
        {
            return null;
        }

        var free = model.All.Except(model.Settled).Concat([from, bank, masks, output]).ToList();
        var original = OriginalImage.Load(parsed.GetValue(from)!, Options.Except(free).FirstOrDefault(parsed.IsGiven)?.Name);
        return original.Origin.Story is not null ? original : throw new UserErrorException(
            $"--from: '{original.Path}' is not of a story; `storysync draw --from` makes it again.");
    }

    private StorySettings Settings(OriginalImage original, ParseResult parsed, StoryBank? kept)
    {
        var origin = original.Origin.Story!;
        if (origin.Bank != (kept is null ? null : ImageOrigin.Identify(kept)))
        {
            throw new UserErrorException((origin.Bank, kept) switch
            {
                (null, _) => $"--from: '{original.Path}' was drawn without a bank; leave --bank out.",
                (_, null) => $"--from: '{original.Path}' was drawn with a bank; give it by --bank.",
                _ => $"--bank is '{parsed.GetValue(bank)}', which is another bank than the one that '{original.Path}' was drawn with.",
            });
        }

        return new StorySettings
        {
            Model = original.Model(model.GivenNameOf(parsed)),
            Pipeline = original.Pipeline(model.Of(parsed)),
            Additions = model.AdditionsOf(parsed, sampling),
            Story = origin.Story,
            Hires = origin.Row == "large" ? origin.Hires : null,
            HiresStrength = origin.HiresStrength,
            Bank = kept,
            From = original,
            ScenePlaces = [.. origin.Story.Scenes.Select(_ => "")],
            Options = origin.Options,
            WithPlain = origin.Row == "plain",
            WithMasks = parsed.GetValue(masks),
            Output = parsed.GetValue(output)!,
        };
    }

    /// <summary>Refuses options that contradict each other.</summary>
    private void CheckTogether(ParseResult parsed)
    {
        var anchored = new Option[] { anchors, saveBank, subjectImages, bankForm }.FirstOrDefault(parsed.IsGiven);
        if (parsed.IsGiven(bank))
        {
            Option[] settled =
            [
                .. sampling.All, steps, guidance, guidanceEnd, blockCache, width, height, sharing, dropout, shareAll, harmonization,
                threshold, layout, layoutUntil,
            ];
            if (settled.FirstOrDefault(parsed.IsGiven) is { } other)
            {
                throw new UserErrorException(
                    $"{other.Name} cannot be given with --bank: scenes have the settings of the bank. Leave it out.");
            }

            if (anchored is not null)
            {
                throw new UserErrorException(
                    $"{anchored.Name} cannot be given with --bank: the anchors are those of the bank, and "
                        + "scenes that are drawn with them become none. Leave one of the two out.");
            }

            if (!parsed.IsGiven(scenes) && !parsed.IsGiven(storyFile))
            {
                throw new UserErrorException("--bank has the anchors, but no scenes to draw; give them by --scene or --story.");
            }
        }
        else if (parsed.IsGiven(redraw))
        {
            throw new UserErrorException(
                "--redraw needs --bank: only a scene that reads anchors alone can be drawn again without the others. Make the story with "
                    + "--save-bank first.");
        }

        if (anchored == bankForm)
        {
            throw new UserErrorException(
                "--bank-form needs --save-bank or --anchors: without them nothing is kept of the scenes. Give one of them, or leave it "
                    + "out.");
        }

        if (parsed.IsGiven(hires) && parsed.IsGiven(redraw))
        {
            throw new UserErrorException(
                "--hires cannot be given with --redraw, which leaves the other scenes as they are. Leave one of the two out.");
        }

        if (parsed.IsGiven(hiresStrength) && !parsed.IsGiven(hires))
        {
            throw new UserErrorException("--hires-strength has no effect without --hires; give both or none.");
        }

        if (parsed.IsGiven(blockCache) && anchored is not null)
        {
            throw new UserErrorException(
                $"--block-cache cannot be given with {anchored.Name}: a cache decides by all scenes of a "
                    + "batch, and a scene that reads anchors must not depend on its batch. Leave one of the two out.");
        }
    }

    private StorySettings Settings(ParseResult parsed, StoryBank? kept)
    {
        var story = Story(parsed);
        story = kept is null ? story : story.On(kept);
        CheckScenes(parsed.GetValue(anchors), anchors.Name, story);
        CheckScenes(RedrawOf(parsed), redraw.Name, story);
        var start = kept?.Card.Request ?? sampling.Of(parsed);
        var (same, own) = (parsed.GetValue(sameNoise), parsed.GetValue(subjectImages) ?? []);
        if (own.Any(string.IsNullOrWhiteSpace))
        {
            throw new UserErrorException($"{subjectImages.Name} must not be empty.");
        }

        var firstSeed = parsed.GetValue(seed) ?? story.Seed ?? (kept is null ? 7 : kept.Card.Seeds.Max() + 1);
        return new StorySettings
        {
            Model = model.NameOf(parsed),
            Pipeline = model.Of(parsed),
            Additions = model.AdditionsOf(parsed, sampling),
            Story = kept is not null ? WithSeeds(story.ToStory(kept.Card.Story.Scenes), firstSeed, same)
                : own.Length > 0 ? WithImages(WithSeeds(story.ToStory(), firstSeed, same), own, firstSeed)
                : story.ToStory(),
            Images = own.Length,
            Hires = parsed.GetValue(hires),
            HiresStrength = parsed.GetValue(hiresStrength) ?? DefaultHiresStrength,
            Bank = kept,
            SaveBank = parsed.GetValue(saveBank),
            Redraw = RedrawOf(parsed) - 1,
            RedrawSeed = parsed.GetValue(seed),
            ScenePlaces =
                [.. own.Select(path => $"--subject-image '{path}'"), .. story.Scenes.Select(scene => $"{scene.Place}")],
            Options = (story with { Seed = start.Seed ?? firstSeed }).ToOptions(new StoryOptions
            {
                Request = start with
                {
                    GuidanceEnd = parsed.GetValue(guidanceEnd) ?? start.GuidanceEnd,
                    BlockCacheThreshold = parsed.GetValue(blockCache) ?? start.BlockCacheThreshold,
                    PreviewInterval = parsed.GetValue(previews) ? 1 : 0,
                },
                SameNoise = kept is null && own.Length == 0 && same,
                Anchors = own.Length + (parsed.GetValue(anchors) ?? (parsed.GetValue(saveBank) is null ? 0 : story.Scenes.Count))
                    is var first and > 0 ? first : null,
                BankForm = parsed.IsGiven(bankForm)
                    ? Enum.Parse<StoryBankForm>(parsed.GetValue(bankForm)!, ignoreCase: true) : null,
                Techniques = kept?.Card.Techniques ?? Techniques(parsed),
            }),
            WithPlain = task != StoryTask.Redraw && !parsed.GetValue(noPlain),
            WithMasks = parsed.GetValue(masks),
            Output = parsed.GetValue(output) ?? "",
        };
    }

    /// <summary>The story with a seed for each scene, for a bank.</summary>
    /// <param name="story">The story.</param>
    /// <param name="first">The seed of the first scene without one.</param>
    /// <param name="sameNoise">Whether the others have the same seed, in place of the next one each.</param>
    private static Story WithSeeds(Story story, long first, bool sameNoise) => story with
    {
        Scenes = [.. story.Scenes.Select((scene, i) => scene with { Seed = scene.Seed ?? first + (sameNoise ? 0 : i) })],
    };

    /// <summary>The story with images before its scenes. Their noise is none of a scene's.</summary>
    private static Story WithImages(Story story, string[] paths, long firstSeed) => story with
    {
        Scenes = [.. paths.Select((path, i) => SubjectImage.Load(path, story, firstSeed - paths.Length + i)), .. story.Scenes],
    };

    /// <summary>The story of the file, of the command line, or of both: what the command line says comes first.</summary>
    private StoryFile Story(ParseResult parsed)
    {
        var prompts = parsed.GetValue(scenes) ?? [];
        var phrases = parsed.GetValue(subjects) ?? [];
        var story = parsed.GetValue(storyFile) is { } path ? StoryFile.Load(path) : prompts.Length > 0 ? new StoryFile()
            : DefaultStory;
        if (prompts.Any(string.IsNullOrWhiteSpace) || phrases.Any(string.IsNullOrWhiteSpace))
        {
            throw new UserErrorException($"{(prompts.Any(string.IsNullOrWhiteSpace) ? "--scene" : "--subject")} must not be empty.");
        }

        return story with
        {
            Scenes = prompts.Length > 0 ? [.. prompts.Select((prompt, i) => new StoryFileScene(prompt) { Place = new($"--scene {i + 1}") })]
                : story.Scenes,
            Subjects = phrases.Length > 0 ? phrases : story.Subjects,
            Negative = parsed.GetValue(negative) ?? story.Negative,
            Steps = parsed.GetValue(steps) ?? story.Steps,
            Guidance = parsed.GetValue(guidance) ?? story.Guidance,
            Width = parsed.GetValue(width) ?? story.Width,
            Height = parsed.GetValue(height) ?? story.Height,
        };
    }

    private int? RedrawOf(ParseResult parsed) => task == StoryTask.Redraw ? parsed.GetValue(number) : parsed.GetValue(redraw);

    private static void CheckScenes(int? given, string name, StoryFile story)
    {
        if (given is { } number && number > story.Scenes.Count)
        {
            throw new UserErrorException(
                $"{name} is '{number}', but the story has {English.Count(story.Scenes.Count, "scene")}.");
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
