using System.CommandLine;
using System.Globalization;
using StorySync.Documents;
using StorySync.Evaluation;
using StorySync.Pipelines;
using StorySync.Samples;

namespace StorySync.Tool;

/// <summary>Measures images by CLIP: how they follow their prompts, and how alike they are.</summary>
internal static class EvaluateCommand
{
    public static Command Create(Option<bool> json)
    {
        var given = new Argument<string[]>("image")
        {
            Description = "Images, or one folder that `storysync story` wrote.", Arity = ArgumentArity.OneOrMore,
        };
        var prompts = CommandLine.Repeated(
            "--prompt", "What an image is to show; repeat the option for each. [default: what the images say of themselves]");
        var clip = CommandLine.Name(
            "--clip", "The CLIP model that measures: a folder, a name in the Hugging Face cache (openai/clip-vit-large-patch14), or the "
                + "embedded one.", "storybook");
        var command = new Command("evaluate", "Measure how images follow their prompts, and how alike they are, by CLIP.")
        {
            given, prompts, clip,
        };
        command.Does(json, "nothing was measured.", async (parsed, results, error, token) =>
        {
            var files = Files(parsed.GetValue(given)!);
            var texts = Prompts(files, parsed.GetValue(prompts) ?? []);
            var images = files.Select(path => ImageFile.Read(path, file => RgbImage.Load(file))).ToList();
            var name = parsed.GetValue(clip)!;
            await error.WriteLineAsync($"Loading {name} …");
            using var evaluator = await Task.Run(() => ClipEvaluator.Load(name), token);
            var embedded = await Task.Run(() => evaluator.EmbedImages(images, token), token);
            var said = await Task.Run(() => evaluator.EmbedTexts(texts, token), token);
            var cosines = embedded.Zip(said, ClipT.Cosine).ToList();
            double? alike = files.Count > 1 ? ClipI.Mean(embedded) : null;
            var follows = cosines.Average(ClipT.Score);
            results.Write(
                new
                {
                    Clip = name,
                    ClipI = alike,
                    ClipT = follows,
                    Images = files.Select((file, i) => new
                    {
                        File = file, Prompt = texts[i], ClipT = ClipT.Score(cosines[i]), ClipTCosine = cosines[i],
                    }),
                },
                console =>
                {
                    foreach (var (i, file) in files.Index())
                    {
                        console.WriteLine($"{Number(ClipT.Score(cosines[i]))}  {file}: {English.OneLine(texts[i])}");
                    }

                    console.WriteLine($"CLIP-T, how they follow their prompts, 0 to 2.5: {Number(follows)}");
                    if (alike is { } mean)
                    {
                        console.WriteLine($"CLIP-I, how alike the whole images are, -1 to 1: {Number(mean)}");
                    }
                });
        });
        return command;
    }

    private static string Number(double value) => value.ToString("f3", CultureInfo.InvariantCulture);

    private static IReadOnlyList<string> Files(string[] given) =>
        given is [var folder] && Directory.Exists(folder) ? StoryFolder.Scenes(folder) : given;

    private static string[] Prompts(IReadOnlyList<string> files, string[] given)
    {
        if (given.Length > 0)
        {
            return given.Length == files.Count ? given : throw new UserErrorException(
                $"--prompt is given {English.Count(given.Length, "time")}, but there are {English.Count(files.Count, "image")}; give one "
                    + "for each.");
        }

        return
        [
            .. files.Select(path => ImageFile.Read(path, file => StoryFolder.PromptIn(RgbImage.ReadParameters(file)))
                ?? throw new UserErrorException($"'{path}' does not say what it shows; give a --prompt for each image.")),
        ];
    }
}
