using System.CommandLine;
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
    private readonly Option<string> model = CommandLine.Name(
        "--model", "A model folder in diffusers' layout, organisation/name in the Hugging Face cache, or the embedded model.", "storybook",
            "-m");

    private readonly Option<string> clip = CommandLine.Name(
        "--clip",
            "The CLIP model that measures: a folder, a name in the Hugging Face cache (openai/clip-vit-large-patch14), or the embedded "
                + "one.", "storybook");

    private readonly Option<string> prompts = CommandLine.Name(
        "--prompts",
        "A prompt set in YAML or JSON: a list of style, subject and settings, as ConsiStory+ has it. [default: twelve stories for the "
            + "embedded model]",
        null,
        "-p");

    private readonly Option<int?> stories = CommandLine.Whole("--stories", Counts, "Number of stories of the set. [default: all]");

    private readonly Option<int?> scenes = CommandLine.Whole("--scenes", Counts, "Number of settings of each story. [default: 4]");

    private readonly Option<string[]> variants = new("--variants", "-v")
    {
        Description =
            "Built-in variants by name (plain, sharing, harmonization, layout, without-sharing, without-harmonization, without-layout, "
                + "all; "
            + "separated by commas), or a JSON file {\"name\": {options}, …}; repeat the option for several. [default: all built-in ones]",
    };

    private readonly Option<string[]> sweep = new("--sweep", "-s")
    {
        Description = "Varies one constant: sharing.strength=0.5,1,2 or any option's path, scenes=2,4,8,16, or damage.erode=0,1,2 "
            + "(dilate, shift, speckle, drop, swap) for damaged masks; repeat the option for several. Creates one plot each.",
    };

    private readonly Option<string[]> bases = new("--base")
    {
        Description = "The variant that sweeps start from; repeat the option for several lines in a plot. [default: all]",
    };

    private readonly Option<string> options =
        CommandLine.Name("--options", "A JSON file of story options that variants and sweeps start from.");

    private readonly Option<int?> steps = CommandLine.Whole(
        "--steps", new(1, GenerationRequest.MaxSteps), "Denoising steps. [default: the model's, 20 for the embedded one]");

    private readonly Option<double?> guidance = CommandLine.Number(
        "--guidance", NumberRange.Any, "Classifier-free guidance scale. [default: the model's, 4 for the embedded one]");

    private readonly Option<long?> seed = CommandLine.Seed("--seed", "The seed from which all seeds are counted. [default: 7]");

    private readonly Option<int?> repeats =
        CommandLine.Whole("--repeats", Counts, "How often each story is made, with other seeds each time. [default: 1]");

    private readonly Option<string> device = CommandLine.Device("--device");

    private readonly Option<string> dtype =
        CommandLine.Choice("--dtype", "Data type of the computation.", "float32", "bfloat16", "float16");

    private readonly Option<string> output = CommandLine.Name(
        "--output", "The folder to write to. Stories that are there already, made with the same settings, are not made again.",
            "evaluation-output", "-o");

    private EvaluateCommand()
    {
    }

    private static NumberRange Counts { get; } = new(1, 100_000);

    public static RootCommand Create()
    {
        var self = new EvaluateCommand();
        var command = new RootCommand(
            "Measures how consistent, faithful and diverse stories are, with each technique on and off, and writes a report.")
        {
            self.model, self.clip, self.prompts, self.stories, self.scenes, self.variants, self.sweep, self.bases, self.options,
            self.steps, self.guidance, self.seed, self.repeats, self.device, self.dtype, self.output,
            BlindCommand.Page(), BlindCommand.Score(), PreviewFitCommand.Create(),
        };
        command.SetAction((parsed, cancellationToken) => CommandLine.GuardedAsync(
            parsed.InvocationConfiguration.Error,
            "the stories that are finished stay, and the same command goes on from there.",
            () => self.RunAsync(parsed, cancellationToken)));
        return command;
    }

    private async Task RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        // What can be wrong is checked before a large model is loaded.
        var (console, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        var set = parsed.GetValue(prompts) is { } file ? PromptSet.Load(file) : PromptSet.BuiltIn();
        _ = Settings(parsed, set, StoryAttentionOptions.Default, "").Jobs();
        var folder = OutputFolder.Open("--output", parsed.GetValue(output)!);

        await error.WriteLineAsync($"Loading {parsed.GetValue(model)} …");
        using var pipeline =
            await DiffusionPipeline.LoadAsync(parsed.GetValue(model)!, Pipeline(parsed), cancellationToken: cancellationToken);
        using var evaluator = await Task.Run(() => ClipEvaluator.Load(parsed.GetValue(clip)!, pipeline.Device), cancellationToken);
        var settings = Settings(parsed, set, pipeline.DefaultTechniques, pipeline.Device.ToString());
        var run = new EvaluationRun(settings, folder, pipeline, new StoryEvaluator(evaluator));
        var records = await Terminal.Of(error).Progress().StartAsync(context =>
            Task.Run(() => run.Run(new RunProgress(context), cancellationToken), cancellationToken));
        foreach (var warning in run.Warnings)
        {
            await error.WriteLineAsync($"Warning: {warning}");
        }

        var report = Reports.Write(settings, folder, records);
        Terminal.Of(console).Write(Reports.Table(settings, records));
        console.WriteLine($"Report: {report}");
    }

    private PipelineOptions Pipeline(ParseResult parsed)
    {
        var name = parsed.GetValue(device)!;
        var model = new PipelineOptions { Device = name, Dtype = Enum.Parse<torch.ScalarType>(parsed.GetValue(dtype)!, ignoreCase: true) };
        try
        {
            _ = model.ResolveDevice();
            return model;
        }
        catch (ArgumentException exception)
        {
            throw new UserErrorException(
                $"--device is '{name}', which this machine does not have; a CUDA device needs a driver and a build with "
                    + $"-p:TorchBackend=cuda-linux or cuda-windows.",
                exception);
        }
    }

    /// <param name="parsed">The command line.</param>
    /// <param name="set">The stories that there are.</param>
    /// <param name="techniques">Those that suit the model.</param>
    /// <param name="deviceUsed">The device that computes.</param>
    private EvaluationSettings Settings(ParseResult parsed, IReadOnlyList<PromptStory> set, StoryAttentionOptions techniques,
        string deviceUsed)
    {
        var start = new StoryOptions { Request = new GenerationRequest(), Techniques = techniques };
        if (parsed.GetValue(options) is { } given)
        {
            var file = DocumentReader.Read(given, "file of options");
            _ = file.RequireMap("a file of options");
            start = OptionsPatch.Apply(start, Json.Read<JsonObject>(given, "file of options"), file);
        }

        start = start with
        {
            Techniques = (start.Techniques ?? new()).Over(techniques),
            Request = start.Request! with
            {
                Steps = parsed.GetValue(steps) ?? start.Request.Steps,
                GuidanceScale = parsed.GetValue(guidance) ?? start.Request.GuidanceScale,
            },
        };
        return new EvaluationSettings
        {
            Model = parsed.GetValue(model)!,
            Clip = parsed.GetValue(clip)!,
            Pipeline = Pipeline(parsed),
            Device = deviceUsed,
            Stories = [.. set.Take(parsed.GetValue(stories) ?? set.Count)],
            Scenes = parsed.GetValue(scenes) ?? 4,
            Variants = VariantList.Make(start, parsed.GetValue(variants) ?? [], parsed.GetValue(sweep) ?? [], parsed.GetValue(bases) ?? []),
            Seed = parsed.GetValue(seed) ?? 7,
            Repeats = parsed.GetValue(repeats) ?? 1,
        };
    }
}
