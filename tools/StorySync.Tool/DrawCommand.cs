using System.CommandLine;
using StorySync.Documents;
using StorySync.Pipelines;
using StorySync.Samples;

namespace StorySync.Tool;

/// <summary>Draws images that know nothing of each other.</summary>
internal sealed class DrawCommand
{
    private readonly Argument<string[]> prompts = new("prompt")
    {
        Description = "What to draw; several prompts are drawn together.", Arity = ArgumentArity.ZeroOrMore,
    };

    private readonly ModelOptions model = new();

    private readonly SamplingOptions sampling = new();

    private readonly Option<string?> negative = new("--negative") { Description = "Negative prompt for all images." };

    private readonly Option<long?> seed = CommandLine.Seed(
        "--seed", "Seed of the first image; each further one has the next. [default: 7]");

    private readonly Option<int?> count = CommandLine.Whole("--count", new NumberRange(1, 1000), "Images of each prompt. [default: 1]");

    private readonly Option<int?> steps = CommandLine.Whole("--steps", NumberRange.Steps, "Denoising steps. [default: the model's]");

    private readonly Option<double?> guidance = CommandLine.Number(
        "--guidance", NumberRange.Any, "Classifier-free guidance scale. [default: the model's]");

    private readonly Option<int?> width = CommandLine.Whole("--width", NumberRange.Side, "Width in pixels. [default: the model's]");

    private readonly Option<int?> height = CommandLine.Whole("--height", NumberRange.Side, "Height in pixels. [default: the model's]");

    private readonly Option<string> image = CommandLine.Name("--image", "An image to begin from.");

    private readonly Option<string> mask = CommandLine.Name("--mask", "With --image: draw only where this image is white.");

    private readonly Option<double?> strength = CommandLine.Number(
        "--strength", NumberRange.Fraction, "With --image: how much of it may change, 0 to 1. [default: the model's]");

    private readonly Option<string> from = CommandLine.Name(
        "--from", "Make an image again, by what its PNG file says of itself, and compare the two.");

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
            .. self.model.All, .. self.sampling.All, self.negative, self.seed, self.count, self.steps, self.guidance, self.width,
            self.height, self.image, self.mask, self.strength, self.from, self.format, self.output,
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
        var original = Original(parsed);
        var request = original?.Origin.Request ?? Request(parsed);
        var folder = OutputFolder.Open("--output", parsed.GetValue(output)!);
        var (name, options) = original is null
            ? (model.NameOf(parsed), model.Of(parsed))
            : (original.Model(model.GivenNameOf(parsed)), original.Pipeline(model.Of(parsed)));
        using var pipeline = await ModelOptions.LoadAsync(name, options, model.AdditionsOf(parsed, sampling), error, cancellationToken);
        original?.Check(pipeline, name);

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
            var origin = request.Images is null ? ImageOrigin.Of(pipeline, name) with { Request = request } : null;
            var files = Write(result, folder, parsed.GetValue(format)!, origin);
            var comparison = original?.Compare(result.Images[0]);
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
                    Compared = comparison,
                    Warnings = result.Warnings.Select(warning => OptionNames.In(warning.Message)),
                    Seconds = Math.Round(result.Timings.Total.TotalSeconds, 3),
                },
                console =>
                {
                    console.WriteLine($"Wrote {English.Count(files.Count, "image")} to {folder.Path}");
                    if (comparison is not null)
                    {
                        console.WriteLine(comparison);
                    }
                });
        }
    }

    private OriginalImage? Original(ParseResult parsed)
    {
        if (parsed.GetValue(from) is not { } path)
        {
            return null;
        }

        Option[] settled =
        [
            .. model.Settled, .. sampling.All, negative, seed, count, steps, guidance, width, height, image, mask, strength,
        ];
        var original = OriginalImage.Load(
            path, parsed.GetValue(prompts) is [_, ..] ? "A prompt" : settled.FirstOrDefault(parsed.IsGiven)?.Name);
        return original.Origin.Request is not null ? original : throw new UserErrorException(
            $"--from: '{path}' is a scene of a story; `storysync story --from` makes it again.");
    }

    private GenerationRequest Request(ParseResult parsed)
    {
        if (parsed.GetValue(prompts) is not [_, ..] given)
        {
            throw new UserErrorException("There is no prompt; give one, or an image to make again by --from.");
        }

        var source = parsed.GetValue(image);
        if (source is null && (parsed.GetValue(mask) is not null || parsed.GetValue(strength) is not null))
        {
            throw new UserErrorException("--mask and --strength need --image; give the image to begin from.");
        }

        return sampling.Of(parsed) with
        {
            Prompts = given,
            NegativePrompts = parsed.GetValue(negative) is { } avoided ? [avoided] : null,
            Seed = parsed.GetValue(seed) ?? 7,
            ImagesPerPrompt = parsed.GetValue(count) ?? 1,
            Steps = parsed.GetValue(steps),
            GuidanceScale = parsed.GetValue(guidance),
            Width = parsed.GetValue(width),
            Height = parsed.GetValue(height),
            Images = source is null ? null : [Load(image, source)],
            Mask = parsed.GetValue(mask) is { } masked ? Load(mask, masked) : null,
            Strength = parsed.GetValue(strength),
        };
    }

    private static RgbImage Load(Option option, string path) =>
        ImageFile.Read(path, file => RgbImage.Load(file), $"{option.Name}: ");

    private static List<string> Write(GenerationResult result, OutputFolder folder, string extension, ImageOrigin? origin)
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
            folder.Write(name, encoding == ImageFormat.Png
                ? StoryImages.Encode(image, origin is null ? null : origin with { Request = Alone(origin.Request!, i, result.Seeds[i]) })
                : image.Encode(encoding));
            files.Add(Path.Combine(folder.Path, name));
        }

        return files;
    }

    /// <summary>The request of one image.</summary>
    private static GenerationRequest Alone(GenerationRequest request, int index, long seed) => request with
    {
        Prompts = [request.Prompts[index / request.ImagesPerPrompt]], ImagesPerPrompt = 1, Seed = seed,
    };
}
