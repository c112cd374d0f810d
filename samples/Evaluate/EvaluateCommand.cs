using System.CommandLine;
using System.Text.Json.Nodes;
using Spectre.Console;
using StorySync.Attention;
using StorySync.Documents;
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
                + "all, one-anchor, two-anchors, bank, bank-keys, image; anchors for the last six; "
            + "separated by commas), or a JSON file {\"name\": {options}, …}; repeat the option for several. [default: the first eight]",
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

    private readonly Option<string> lengths = CommandLine.Name(
        "--lengths",
        "Numbers of scenes, separated by commas: measures time and memory of the first story at each of these lengths too, in every "
            + "variant. Its prompts come again where there are too few. [default: none]");

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
            self.steps, self.guidance, self.seed, self.repeats, self.lengths, self.device, self.dtype, self.output,
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
        var asked = Settings(parsed, set, StoryAttentionOptions.Default, "");
        _ = asked.Jobs();
        var longer = Lengths(parsed, asked);
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
        if (longer.Length > 0)
        {
            var lengthRun = new LengthRun(settings, pipeline);
            var costs = await Terminal.Of(error).Progress().StartAsync(context => Task.Run(
                () => lengthRun.Run(longer, records, new RunProgress(context), cancellationToken), cancellationToken));
            Reports.Write(folder, costs);
            Terminal.Of(console).Write(Reports.Table(costs));
        }

        console.WriteLine($"Report: {report}");
    }

    /// <summary>The lengths that are measured, in ascending order.</summary>
    private int[] Lengths(ParseResult parsed, EvaluationSettings settings)
    {
        int[] asked = [.. (parsed.GetValue(lengths)?.Split(',', StringSplitOptions.TrimEntries) ?? [])
            .Select(length => (int)Counts.ParseWhole("--lengths", length)).Distinct().Order()];
        var anchors = settings.Variants.Max(variant => variant.Options.Anchors) ?? 0;
        return asked.Length == 0 || asked[0] > anchors ? asked : throw new UserErrorException(
            $"--lengths has {asked[0]}, but a variant has {English.Count(anchors, "anchor")}; a story needs more scenes than that.");
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

        var request = start.Request ?? new();
        start = start with
        {
            Techniques = (start.Techniques ?? new()).Over(techniques),
            Request = request with
            {
                Steps = parsed.GetValue(steps) ?? request.Steps,
                GuidanceScale = parsed.GetValue(guidance) ?? request.GuidanceScale,
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
