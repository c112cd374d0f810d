using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Spectre.Console;
using StorySync.Attention;
using StorySync.Evaluation;
using StorySync.Pipelines;
using TorchSharp;

namespace StorySync.Samples.Evaluate;

/// <summary>The command line: what there is to say, and what it means.</summary>
internal sealed class EvaluateCommand
{
    private readonly Option<string> model = new("--model", "-m")
    {
        Description = "A model folder in diffusers' layout, organisation/name in the Hugging Face cache, or the embedded model.",
        DefaultValueFactory = _ => "storybook",
    };

    private readonly Option<string> clip = new("--clip")
    {
        Description = "The CLIP model that measures: a folder, a name in the Hugging Face cache (openai/clip-vit-large-patch14), or the embedded one.",
        DefaultValueFactory = _ => "storybook",
    };

    private readonly Option<FileInfo?> prompts = new("--prompts", "-p")
    {
        Description = "A prompt set in YAML or JSON: a list of style, subject and settings, as ConsiStory+ has it. [default: twelve stories for the embedded model]",
    };

    private readonly Option<int?> stories = Positive("--stories", "How many stories of the set to take. [default: all]");

    private readonly Option<int?> scenes = Positive("--scenes", "How many settings of each story to take. [default: 4]");

    private readonly Option<string[]> variants = new("--variants", "-v")
    {
        Description = "Built-in variants by name (plain, sharing, harmonization, layout, without-sharing, without-harmonization, without-layout, all; "
            + "commas between), or a JSON file {\"name\": {options}, …}; repeat it for several. [default: all built-in ones]",
    };

    private readonly Option<string[]> sweep = new("--sweep", "-s")
    {
        Description = "Varies one constant: sharing.strength=0.5,1,2 or any option's path, scenes=2,4,8,16, or damage.erode=0,1,2 "
            + "(dilate, shift, speckle, drop, swap) for spoiled masks; repeat it for several. Gives one plot each.",
    };

    private readonly Option<string[]> bases = new("--base") { Description = "The variant that sweeps start from; repeat it for several lines in a plot. [default: all]" };

    private readonly Option<FileInfo?> options = new("--options") { Description = "A JSON file of story options that variants and sweeps start from." };

    private readonly Option<int?> steps = Positive("--steps", "Denoising steps. [default: the model's, 20 for the embedded one]");

    private readonly Option<double?> guidance = new("--guidance") { Description = "How strongly pictures follow their prompts. [default: the model's, 4 for the embedded one]" };

    private readonly Option<long> seed = new("--seed") { Description = "The seed from which all seeds are counted.", DefaultValueFactory = _ => 7 };

    private readonly Option<int?> repeats = Positive("--repeats", "How often each story is made, with other seeds each time. [default: 1]");

    private readonly Option<string> device = new("--device") { Description = "auto, cpu, cuda or cuda:N.", DefaultValueFactory = _ => "auto" };

    private readonly Option<string> dtype = new Option<string>("--dtype")
    {
        Description = "The type to compute in.",
        DefaultValueFactory = _ => "float32",
    }.AcceptOnlyFromAmong("float32", "bfloat16", "float16");

    private readonly Option<DirectoryInfo> output = new("--output", "-o")
    {
        Description = "The folder to write to. Stories that are there already, made with the same settings, are not made again.",
        DefaultValueFactory = _ => new DirectoryInfo("evaluation-output"),
    };

    private EvaluateCommand()
    {
    }

    public static RootCommand Create()
    {
        var self = new EvaluateCommand();
        var command = new RootCommand("Measures how consistent, faithful and diverse stories are, with each technique on and off, and writes a report.")
        {
            self.model, self.clip, self.prompts, self.stories, self.scenes, self.variants, self.sweep, self.bases, self.options,
            self.steps, self.guidance, self.seed, self.repeats, self.device, self.dtype, self.output,
            BlindCommand.Page(), BlindCommand.Score(),
        };
        command.SetAction((parsed, cancellationToken) => Failures.GuardedAsync(() => self.RunAsync(parsed, cancellationToken)));
        return command;
    }

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

    private async Task RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        // What can be wrong is looked at before a large model is loaded.
        var set = parsed.GetValue(prompts) is { } file ? PromptSet.Load(file.FullName) : PromptSet.BuiltIn();
        MakeFolder(parsed.GetValue(output)!.FullName);
        using var pipeline = await Task.Run(() => DiffusionPipeline.Load(parsed.GetValue(model)!, Pipeline(parsed)), cancellationToken);
        using var evaluator = await Task.Run(() => ClipEvaluator.Load(parsed.GetValue(clip)!, pipeline.Device), cancellationToken);
        var settings = Settings(parsed, set, pipeline.DefaultTechniques);
        var run = new EvaluationRun(settings, new StoryPipeline(pipeline), new StoryEvaluator(evaluator));
        var records = await AnsiConsole.Progress().StartAsync(context =>
            Task.Run(() => run.Run(new RunProgress(context), cancellationToken), cancellationToken));
        var report = Reports.Write(settings, records);
        AnsiConsole.Write(Reports.Table(settings, records));
        Console.WriteLine($"Report: {report}");
    }

    private static void MakeFolder(string path)
    {
        try
        {
            Directory.CreateDirectory(path);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new IOException($"The folder '{path}' cannot be made ({exception.Message.TrimEnd('.')}); choose another with --output.", exception);
        }
    }

    private PipelineOptions Pipeline(ParseResult parsed) => new()
    {
        Device = parsed.GetValue(device)!,
        Dtype = Enum.Parse<torch.ScalarType>(parsed.GetValue(dtype)!, ignoreCase: true),
    };

    /// <param name="parsed">The command line.</param>
    /// <param name="set">The stories that there are.</param>
    /// <param name="techniques">Those that suit the model.</param>
    private EvaluationSettings Settings(ParseResult parsed, IReadOnlyList<PromptStory> set, StoryAttentionOptions techniques)
    {
        var embedded = parsed.GetValue(model) == "storybook";
        var start = new StoryOptions { Techniques = techniques };
        if (parsed.GetValue(options) is { } given)
        {
            start = OptionsPatch.Apply(start, Json.Read<JsonObject>(given.FullName), given.Name);
        }

        start = start with
        {
            Techniques = start.Techniques ?? techniques,
            Steps = parsed.GetValue(steps) ?? start.Steps ?? (embedded ? 20 : null),
            GuidanceScale = parsed.GetValue(guidance) ?? start.GuidanceScale ?? (embedded ? 4 : null),
        };
        return new EvaluationSettings
        {
            Model = parsed.GetValue(model)!,
            Clip = parsed.GetValue(clip)!,
            Pipeline = Pipeline(parsed),
            Stories = [.. set.Take(parsed.GetValue(stories) ?? set.Count)],
            Scenes = parsed.GetValue(scenes) ?? 4,
            Variants = VariantList.Make(start, parsed.GetValue(variants) ?? [], parsed.GetValue(sweep) ?? [], parsed.GetValue(bases) ?? []),
            Seed = parsed.GetValue(seed),
            Repeats = parsed.GetValue(repeats) ?? 1,
            Output = parsed.GetValue(output)!.FullName,
        };
    }
}
