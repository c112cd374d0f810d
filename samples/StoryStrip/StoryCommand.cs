using System.CommandLine;
using System.Globalization;
using StorySync.Attention;
using StorySync.Pipelines;
using TorchSharp;

namespace StorySync.Samples.StoryStrip;

/// <summary>The command line: what there is to say, and what it means.</summary>
internal sealed class StoryCommand
{
    private readonly Option<string> model = new("--model", "-m")
    {
        Description = "A model folder in diffusers' layout, organisation/name in the Hugging Face cache, or the embedded model.",
        DefaultValueFactory = _ => "storybook",
    };

    private readonly Option<FileInfo?> storyFile = new("--story") { Description = "A story in a YAML or JSON file; what is said here too goes before it." };

    private readonly Option<string[]> scenes = new("--scene", "-s") { Description = "A scene's prompt; repeat it for each scene.", AllowMultipleArgumentsPerToken = false };

    private readonly Option<string[]> subjects = new("--subject") { Description = "The phrase that stands for a subject in the prompts; repeat it for several." };

    private readonly Option<string?> negative = new("--negative") { Description = "What all pictures are to be kept away from." };

    private readonly Option<long?> seed = new("--seed") { Description = "Seed of the first scene; each further one has the next. [default: the story's, else 7]" };

    private readonly Option<int?> steps = Positive("--steps", "Denoising steps. [default: the model's, 20 for the embedded one]");

    private readonly Option<double?> guidance = new("--guidance") { Description = "How strongly pictures follow their prompts. [default: the model's, 4 for the embedded one]" };

    private readonly Option<double?> guidanceEnd = new("--guidance-end")
    {
        Description = "Part of the steps that has guidance, above 0, up to 1; the steps behind it take half the work, and pictures become approximate. [default: 1]",
    };

    private readonly Option<double?> blockCache = new("--block-cache")
    {
        Description = "Change of the denoiser's first block, at least 0, up to which a step uses the deeper blocks' results again; pictures become approximate. [default: 0, never]",
    };

    private readonly Option<int?> width = Positive("--width", "Width in pixels. [default: the model's]");

    private readonly Option<int?> height = Positive("--height", "Height in pixels. [default: the model's]");

    private readonly Option<bool> sameNoise = new("--same-noise") { Description = "Begin all scenes from the same noise." };

    private readonly Option<double?> sharing = new("--sharing") { Description = "Strength of attention sharing, at least 0; 0 turns it off." };

    private readonly Option<double?> dropout = new("--dropout") { Description = "Share of foreign tokens dropped at random, 0 to 0.99." };

    private readonly Option<bool> shareAll = new("--share-all-queries") { Description = "Let backgrounds read other pictures too." };

    private readonly Option<double?> harmonization = new("--harmonization") { Description = "Strength of feature harmonization, 0 to 1; 0 turns it off." };

    private readonly Option<double?> threshold = new("--harmonization-threshold") { Description = "Similarity above which patches blend, -1 to 1." };

    private readonly Option<double?> layout = new("--layout") { Description = "Strength of layout interpolation at the first step, 0 to 1; 0 turns it off." };

    private readonly Option<double?> layoutUntil = new("--layout-until") { Description = "Part of the steps that layout interpolation lasts, 0 to 1." };

    private readonly Option<bool> noPlain = new("--no-plain") { Description = "Leave out the plain model's row (half the time)." };

    private readonly Option<bool> plan = new("--plan") { Description = "Only tell what memory the story will take and what would make it less." };

    private readonly Option<bool> masks = new("--masks") { Description = "Write the subjects' masks too." };

    private readonly Option<string> device = new("--device")
    {
        Description = "auto, cpu, cuda or cuda:N.",
        DefaultValueFactory = _ => "auto",
    };

    private readonly Option<string> dtype = new Option<string>("--dtype")
    {
        Description = "The type to compute in.",
        DefaultValueFactory = _ => "float32",
    }.AcceptOnlyFromAmong("float32", "bfloat16", "float16");

    private readonly Option<string?> variant = new("--variant") { Description = "The variant of the weight files to prefer, such as fp16." };

    private readonly Option<DirectoryInfo> output = new("--output", "-o")
    {
        Description = "The folder to write to.",
        DefaultValueFactory = _ => new DirectoryInfo("story-output"),
    };

    private StoryCommand()
    {
    }

    public static RootCommand Create()
    {
        var self = new StoryCommand();
        var command = new RootCommand("Makes a story in pictures whose character stays the same, and beside it what the plain model makes of it.");
        foreach (var option in self.Options)
        {
            command.Add(option);
        }

        command.SetAction(self.Run);
        return command;
    }

    private IEnumerable<Option> Options =>
    [
        model, storyFile, scenes, subjects, negative, seed, steps, guidance, guidanceEnd, blockCache, width, height, sameNoise, sharing, dropout, shareAll,
        harmonization, threshold, layout, layoutUntil, noPlain, masks, plan, device, dtype, variant, output,
    ];

    private static Option<int?> Positive(string name, string description)
    {
        var option = new Option<int?>(name) { Description = description };
        option.Validators.Add(result =>
        {
            if (result.Tokens.Any(token => int.TryParse(token.Value, CultureInfo.InvariantCulture, out var value) && value < 1))
            {
                result.AddError($"{name} must be at least 1.");
            }
        });
        return option;
    }

    private async Task<int> Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        try
        {
            var file = parsed.GetValue(storyFile) is { } path ? StoryFile.Load(path.FullName) : StoryFile.Default;
            var settings = Settings(parsed, file);
            await (parsed.GetValue(plan) ? new PlanRun(settings).RunAsync(cancellationToken) : new StoryRun(settings).RunAsync(cancellationToken));
            return 0;
        }
        catch (OperationCanceledException)
        {
            Console.Error.WriteLine("Cancelled; nothing was written.");
            return 130;
        }
        catch (Exception exception) when (exception is ArgumentException or IOException or InvalidDataException or UnauthorizedAccessException or NotSupportedException)
        {
            Console.Error.WriteLine(exception.Message);
            return 1;
        }
    }

    private StorySettings Settings(ParseResult parsed, StoryFile file)
    {
        var modelName = parsed.GetValue(model)!;
        var embedded = modelName == "storybook";
        var given = parsed.GetValue(scenes) is { Length: > 0 } prompts ? new StoryFile { Scenes = [.. prompts.Select(p => new StoryFileScene { Prompt = p })] } : file;
        if (parsed.GetValue(scenes) is { Length: > 0 } && parsed.GetValue(subjects) is not { Length: > 0 })
        {
            throw new ArgumentException("The scenes need a --subject: the phrase that stands for the character in their prompts.");
        }

        // A value out of range is refused here, before a model is loaded.
        var techniques = Techniques(parsed);
        _ = techniques(new StoryAttentionOptions());
        return new StorySettings
        {
            Model = modelName,
            Pipeline = new PipelineOptions
            {
                Device = parsed.GetValue(device)!,
                Dtype = Enum.Parse<torch.ScalarType>(parsed.GetValue(dtype)!, ignoreCase: true),
                Variant = parsed.GetValue(variant),
            },
            Story = given.ToStory(parsed.GetValue(subjects)),
            Options = new StoryOptions
            {
                NegativePrompt = parsed.GetValue(negative) ?? given.Negative,
                Seed = parsed.GetValue(seed) ?? given.Seed ?? 7,
                Steps = parsed.GetValue(steps) ?? given.Steps ?? (embedded ? 20 : null),
                GuidanceScale = parsed.GetValue(guidance) ?? given.Guidance ?? (embedded ? 4 : null),
                GuidanceEnd = parsed.GetValue(guidanceEnd) ?? 1,
                BlockCacheThreshold = parsed.GetValue(blockCache) ?? 0,
                Width = parsed.GetValue(width) ?? given.Width,
                Height = parsed.GetValue(height) ?? given.Height,
                SameNoise = parsed.GetValue(sameNoise),
            },
            Techniques = techniques,
            WithPlain = !parsed.GetValue(noPlain),
            WithMasks = parsed.GetValue(masks),
            Output = parsed.GetValue(output)!.FullName,
        };
    }

    private Func<StoryAttentionOptions, StoryAttentionOptions> Techniques(ParseResult parsed) => own => own with
    {
        Sharing = own.Sharing with
        {
            Strength = parsed.GetValue(sharing) ?? own.Sharing.Strength,
            Dropout = parsed.GetValue(dropout) ?? own.Sharing.Dropout,
            SubjectQueriesOnly = !parsed.GetValue(shareAll),
        },
        Harmonization = own.Harmonization with
        {
            Alpha = parsed.GetValue(harmonization) ?? own.Harmonization.Alpha,
            Threshold = parsed.GetValue(threshold) ?? own.Harmonization.Threshold,
        },
        Layout = own.Layout with
        {
            Start = parsed.GetValue(layout) ?? own.Layout.Start,
            Until = parsed.GetValue(layoutUntil) ?? own.Layout.Until,
        },
    };
}
