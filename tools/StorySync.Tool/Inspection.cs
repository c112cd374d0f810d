using System.Globalization;
using System.Text.Json;
using StorySync.Diffusion.Lora;
using StorySync.Diffusion.Weights;
using StorySync.Pipelines;
using StorySync.Samples;

namespace StorySync.Tool;

/// <summary>What a file or a model's folder is.</summary>
/// <param name="Path">The file or folder.</param>
/// <param name="Kind">What it is, in a few words.</param>
/// <param name="Details">What else its header or configs say.</param>
/// <param name="Advice">What to do with it; null for nothing.</param>
internal sealed record Inspection(string Path, string Kind, IReadOnlyDictionary<string, string> Details, string? Advice = null)
{
    private static readonly string[] Images = [".png", ".jpg", ".jpeg", ".webp"];
    private static readonly string[] Pickles = [".ckpt", ".bin", ".pt", ".pth", ".pkl"];
    private static readonly string[] LoraParts =
        ["lora_down", "lora_up", "lora_A", "lora_B", ".lora.down", ".lora.up", "hada_w1", "lokr_w1"];

    private static readonly string[] Components =
        ["scheduler", "tokenizer", "tokenizer_2", "text_encoder", "text_encoder_2", "unet", "transformer", "vae", "movq"];

    /// <summary>Inspects a file, a model, or the files of a folder.</summary>
    /// <exception cref="UserErrorException">There is nothing of that name, or nothing in the folder to inspect.</exception>
    public static IReadOnlyList<Inspection> Of(string path, CancellationToken cancellationToken)
    {
        if (File.Exists(path))
        {
            return [OfFile(path)];
        }

        if (!Directory.Exists(path) || IsModel(path))
        {
            return [OfModel(ModelFolder.Open(path), path)];
        }

        var found = new List<Inspection>();
        foreach (var entry in Directory.EnumerateFileSystemEntries(path).Order(StringComparer.Ordinal))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (Directory.Exists(entry) ? IsModel(entry) : IsKnown(entry))
            {
                found.Add(Directory.Exists(entry) ? OfModel(ModelFolder.Open(entry), entry) : OfFile(entry));
            }
        }

        return found.Count > 0 ? found : throw new UserErrorException(
            $"'{path}' is not a model's folder, and it holds no checkpoint, bank or image: expected a model_index.json, a config.json, "
                + "or files such as .safetensors, .storybank or .png.");
    }

    private static bool IsModel(string folder) =>
        File.Exists(System.IO.Path.Combine(folder, "model_index.json")) || File.Exists(System.IO.Path.Combine(folder, "config.json"));

    private static bool IsKnown(string file) =>
        Extension(file) is ".safetensors" or ".storybank" || Pickles.Contains(Extension(file)) || Images.Contains(Extension(file));

    private static string Extension(string path) => System.IO.Path.GetExtension(path).ToLowerInvariant();

    private static Inspection OfFile(string path)
    {
        if (Images.Contains(Extension(path)))
        {
            var parameters = RgbImage.ReadParameters(path);
            return new(path, parameters is null ? "an image that does not say how it was made" : "a generated image",
                parameters is null ? [] : new Dictionary<string, string> { ["parameters"] = parameters.ReplaceLineEndings("\n    ") });
        }

        try
        {
            using var file = SafetensorsFile.Open(path);
            return file.Metadata.GetValueOrDefault("format") == "storybank" ? OfBank(path, file) : OfWeights(path, file);
        }
        catch (ModelFileException exception)
        {
            return new(path, "a file that cannot be used", new Dictionary<string, string>(), exception.Message);
        }
    }

    /// <summary>A bank by its header; <c>storysync bank show</c> reads it whole, and checks it.</summary>
    private static Inspection OfBank(string path, SafetensorsFile file)
    {
        try
        {
            var card = JsonSerializer.Deserialize<StoryBankCard>(file.Metadata["card"])!;
            var details = Sizes(file.Tensors.Values);
            details["made by"] = $"{card.Pipeline}, {card.Dtype}, model {card.Model}";
            details["subjects"] = string.Join("; ", card.Story.Subjects.Select(subject => subject.Phrase));
            details["anchors"] = string.Join("; ", card.Story.Scenes.Select(scene => scene.Prompt));
            return new(path, "a story bank", details, $"storysync story --bank {path} --scene \"…\" draws further scenes with it.");
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or ArgumentException or NotSupportedException)
        {
            return new(
                path, "a story bank that cannot be used", new Dictionary<string, string>(),
                $"Its card cannot be read: {exception.Message}");
        }
    }

    private static Inspection OfWeights(string path, SafetensorsFile file)
    {
        var details = Sizes(file.Tensors.Values);
        foreach (var (key, value) in file.Metadata.OrderBy(pair => pair.Key, StringComparer.Ordinal).Take(MaxMetadata))
        {
            details[$"metadata {key}"] = value.Length <= MaxText ? value : $"{value[..MaxText]}… ({value.Length} characters)";
        }

        if (!file.Tensors.Keys.Any(name => LoraParts.Any(part => name.Contains(part, StringComparison.Ordinal))))
        {
            var kind = CheckpointKind.Guess(file.Tensors);
            return new(path, kind is null ? "weights of no model known here" : $"weights: {kind}", details);
        }

        var lora = LoraAdapters.Inspect(path);
        details["kinds"] = string.Join(", ", lora.Kinds);
        details["layout"] = lora.Format;
        details["ranks"] = string.Join(", ", lora.Ranks);
        details["alphas"] = string.Join(", ", lora.Alphas.Select(alpha => alpha.ToString(CultureInfo.InvariantCulture)));
        details["parts"] = string.Join(", ", lora.Targets.Keys);
        details["layers"] = string.Join(", ", lora.Targets.Select(target => $"{target.Key} {target.Value}"));
        Add("name", lora.Name);
        Add("trained on", lora.BaseModel);
        Add("words", lora.TriggerWords.Count == 0 ? null : string.Join("; ", lora.TriggerWords.Take(MaxWords)));
        return new(path, lora.Family is { } family ? $"a LoRA for {family}" : "a LoRA", details,
            $"storysync draw --lora {path} \"…\" draws with it, on the model that it was trained for.");

        void Add(string name, string? value)
        {
            if (value is not null)
            {
                details[name] = value;
            }
        }
    }

    private const int MaxMetadata = 20;
    private const int MaxWords = 10;
    private const int MaxText = 120;

    private static Inspection OfModel(ModelFolder folder, string path)
    {
        var details = new Dictionary<string, string>();
        if (folder.Path != path)
        {
            details["folder"] = folder.Path;
        }

        var faults = new List<string>();
        string[] parts = folder.ClassName is null ? [""] : [.. Components.Where(folder.Has)];
        foreach (var part in parts)
        {
            try
            {
                details[part.Length == 0 ? "weights" : part] = Describe(folder, part);
            }
            catch (ModelFileException exception)
            {
                faults.Add(exception.Message);
            }
        }

        var kind = folder.ClassName is null ? "one component of a model" : $"a model for {folder.ClassName}";
        return new(path, kind, details, faults.Count == 0 ? null : string.Join("; ", faults));
    }

    private static string Describe(ModelFolder folder, string part)
    {
        if (!part.StartsWith("tokenizer", StringComparison.Ordinal) && part != "scheduler")
        {
            using var weights = folder.OpenWeights(part);
            return string.Join(", ", Sizes(weights.Tensors.Values).Select(pair => $"{pair.Key} {pair.Value}"));
        }

        var files = Directory.EnumerateFiles(folder.ComponentPath(part)).Select(file => System.IO.Path.GetFileName(file));
        return string.Join(", ", files.Order(StringComparer.Ordinal));
    }

    private static Dictionary<string, string> Sizes(IEnumerable<TensorInfo> tensors)
    {
        var all = tensors.ToList();
        return new()
        {
            ["tensors"] = all.Count.ToString(CultureInfo.InvariantCulture),
            ["size"] = ProcessMemory.Size(all.Sum(tensor => tensor.ByteCount)),
            ["types"] = string.Join(" ", all.Select(tensor => tensor.Dtype.ToString()).Distinct().Order(StringComparer.Ordinal)),
        };
    }
}
