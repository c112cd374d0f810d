using System.CommandLine;
using StorySync.Pipelines;
using StorySync.Samples;

namespace StorySync.Tool;

/// <summary>Draws images that know nothing of each other.</summary>
internal sealed class DrawCommand
{
    private readonly Argument<string[]> prompts = new("prompt")
    {
        Description = "What to draw; several prompts are drawn together.", Arity = ArgumentArity.OneOrMore,
    };

    private readonly ModelOptions model = new();

    private readonly Option<string?> negative = new("--negative") { Description = "Negative prompt for all images." };

    private readonly Option<long?> seed = CommandLine.Seed(
        "--seed", "Seed of the first image; each further one has the next. [default: 7]");

    private readonly Option<int?> count = CommandLine.Whole("--count", new NumberRange(1, 1000), "Images of each prompt. [default: 1]");

    private readonly Option<int?> steps = CommandLine.Whole("--steps", Ranges.Steps, "Denoising steps. [default: the model's]");

    private readonly Option<double?> guidance = CommandLine.Number(
        "--guidance", NumberRange.Any, "Classifier-free guidance scale. [default: the model's]");

    private readonly Option<int?> width = CommandLine.Whole("--width", Ranges.Side, "Width in pixels. [default: the model's]");

    private readonly Option<int?> height = CommandLine.Whole("--height", Ranges.Side, "Height in pixels. [default: the model's]");

    private readonly Option<string> image = CommandLine.Name("--image", "An image to begin from.");

    private readonly Option<string> mask = CommandLine.Name("--mask", "With --image: draw only where this image is white.");

    private readonly Option<double?> strength = CommandLine.Number(
        "--strength", NumberRange.Fraction, "With --image: how much of it may change, 0 to 1. [default: the model's]");

    private readonly Option<string[]> loras = new("--lora")
    {
        Description = "A LoRA file; repeat the option for several.", Arity = ArgumentArity.OneOrMore,
        AllowMultipleArgumentsPerToken = false,
    };

    private readonly Option<string> format = CommandLine.Choice("--format", "The format of the files.", "png", "jpg", "webp");

    private readonly Option<string> output = CommandLine.Name("--output", "The folder to write to.", "images", "-o");

    private DrawCommand()
    {
    }

    public static Command Create(Option<bool> json)
    {
        var self = new DrawCommand();
        var command = new Command("draw", "Draw images that know nothing of each other, from text or from another image.") { self.prompts };
        Option[] options =
        [
            .. self.model.All, self.negative, self.seed, self.count, self.steps, self.guidance, self.width, self.height, self.image,
            self.mask, self.strength, self.loras, self.format, self.output,
        ];
        foreach (var option in options)
        {
            command.Add(option);
        }

        command.Does(json, "nothing was written.", self.RunAsync);
        return command;
    }

    private async Task RunAsync(ParseResult parsed, ResultWriter results, TextWriter error, CancellationToken cancellationToken)
    {
        var source = parsed.GetValue(image);
        if (source is null && (parsed.GetValue(mask) is not null || parsed.GetValue(strength) is not null))
        {
            throw new UserErrorException("--mask and --strength need --image; give the image to begin from.");
        }

        var request = new GenerationRequest
        {
            Prompts = parsed.GetValue(prompts)!,
            NegativePrompts = parsed.GetValue(negative) is { } avoided ? [avoided] : null,
            Seed = parsed.GetValue(seed) ?? 7,
            ImagesPerPrompt = parsed.GetValue(count) ?? 1,
            Steps = parsed.GetValue(steps),
            GuidanceScale = parsed.GetValue(guidance),
            Width = parsed.GetValue(width),
            Height = parsed.GetValue(height),
            Images = source is null ? null : [RgbImage.Load(source)],
            Mask = parsed.GetValue(mask) is { } masked ? RgbImage.Load(masked) : null,
            Strength = parsed.GetValue(strength),
        };
        var folder = OutputFolder.Open("--output", parsed.GetValue(output)!);
        using var pipeline = await ModelOptions.LoadAsync(model.NameOf(parsed), model.Of(parsed), error, cancellationToken);
        foreach (var lora in parsed.GetValue(loras) ?? [])
        {
            pipeline.Loras.Load(lora);
        }

        GenerationResult result;
        await using (var display = Display.Start(error))
        {
            try
            {
                result = await pipeline.GenerateAsync(request, display.Progress("images"), cancellationToken);
            }
            catch (Exception exception) when (exception is InsufficientMemoryException or NonFiniteException)
            {
                throw new UserErrorException(OptionNames.In(exception.Message), exception);
            }
        }

        using (result)
        {
            var files = Write(result, folder, parsed.GetValue(format)!);
            foreach (var warning in result.Warnings)
            {
                await error.WriteLineAsync($"Warning: {OptionNames.In(warning.Message)}");
            }

            results.Write(
                new
                {
                    Folder = folder.Path,
                    Images = files.Select((file, i) => new
                    {
                        File = file, Prompt = request.Prompts[i / request.ImagesPerPrompt], Seed = result.Seeds[i],
                    }),
                    Warnings = result.Warnings.Select(warning => OptionNames.In(warning.Message)),
                    Seconds = Math.Round(result.Timings.Total.TotalSeconds, 3),
                },
                console => console.WriteLine($"Wrote {English.Count(files.Count, "image")} to {folder.Path}"));
        }
    }

    private static List<string> Write(GenerationResult result, OutputFolder folder, string extension)
    {
        var encoding = extension switch
        {
            "jpg" => ImageFormat.Jpeg,
            "webp" => ImageFormat.WebP,
            _ => ImageFormat.Png,
        };
        var files = new List<string>();
        foreach (var (i, image) in result.Images.Index())
        {
            var name = $"image-{i + 1}.{extension}";
            folder.Write(name, image.Encode(encoding));
            files.Add(Path.Combine(folder.Path, name));
        }

        return files;
    }
}
