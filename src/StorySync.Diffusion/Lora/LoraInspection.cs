using System.Text.Json;
using System.Text.RegularExpressions;
using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.Lora;

/// <summary>Represents what a LoRA file is, by its header. See <see cref="LoraAdapters.Inspect"/>.</summary>
public sealed partial class LoraInspection
{
    private const long SdxlText = 2048, StableDiffusion1Text = 768, StableDiffusion2Text = 1024, Kandinsky3Text = 4096;

    private static readonly (string Mark, string Family)[] KnownArchitectures =
    [
        ("xl", "SDXL"), ("flux", "FLUX.1"), ("kandinsky-3", "Kandinsky 3"), ("kandinsky3", "Kandinsky 3"),
        ("stable-diffusion-v3", "Stable Diffusion 3"), ("sd3", "Stable Diffusion 3"), ("stable-diffusion-v2", "Stable Diffusion 2"),
        ("sd_v2", "Stable Diffusion 2"), ("stable-diffusion-v1", "Stable Diffusion 1"), ("sd_v1", "Stable Diffusion 1"),
    ];

    private LoraInspection(SafetensorsFile file, IReadOnlyCollection<LoraLayer> layers)
    {
        Path = file.Path;
        Metadata = file.Metadata;
        Format = FormatOf(file.Tensors.Keys);
        Kinds = [.. layers.Select(KindOf).Distinct().Order(StringComparer.Ordinal)];
        Ranks = [.. layers.Select(layer => layer.Product.Rank).OfType<long>().Distinct().Order()];
        Alphas = [.. layers.Where(layer => layer.Product.Rank is not null)
            .Select(layer => Math.Round(layer.Scale * layer.Product.Rank!.Value, 6)).Distinct().Order()];
        Targets = layers.GroupBy(layer => TargetOf(layer.Name)).OrderBy(target => target.Key, StringComparer.Ordinal)
            .ToDictionary(target => target.Key, target => target.Count(), StringComparer.Ordinal);
        Name = Said("ss_output_name", "modelspec.title");
        BaseModel = Said("ss_sd_model_name", "modelspec.architecture", "ss_base_model_version");
        Family = FamilyOf(layers) ?? FamilySaid(Said("modelspec.architecture"), Said("ss_base_model_version"));
        if (Family == "FLUX.1" && Targets.TryGetValue("unet", out var blocks))
        {
            // Kohya's and ComfyUI's names call any denoiser alike.
            Targets = Targets.Where(target => target.Key is not ("unet" or "transformer"))
                .Append(new("transformer", blocks + Targets.GetValueOrDefault("transformer")))
                .ToDictionary(StringComparer.Ordinal);
        }

        TriggerWords = Words();
    }

    /// <summary>Gets the file.</summary>
    public string Path { get; }

    /// <summary>Gets the name that the trainer gave it (<c>ss_output_name</c> or <c>modelspec.title</c>); null if none.</summary>
    public string? Name { get; }

    /// <summary>Gets the kind of model that it is for, by its layers or else by its metadata: <c>SDXL</c>, <c>FLUX.1</c>,
    /// <c>Kandinsky 3</c>, <c>Stable Diffusion 1</c>, <c>Stable Diffusion 2</c>, <c>Stable Diffusion 3</c>; null if it is not
    /// known.</summary>
    public string? Family { get; }

    /// <summary>Gets the layout of its names: <c>kohya</c>, <c>diffusers / PEFT</c>, <c>ComfyUI</c>, <c>XLabs</c>, <c>OneTrainer</c> or
    /// <c>black-forest-labs</c>.</summary>
    public string Format { get; }

    /// <summary>Gets what it adds to layers: <c>LoRA</c>, <c>LoCon</c> (in convolutions), <c>LoHa</c>, <c>LoKr</c>, <c>DoRA</c>.</summary>
    public IReadOnlyList<string> Kinds { get; }

    /// <summary>Gets the ranks of its layers, ascending.</summary>
    public IReadOnlyList<long> Ranks { get; }

    /// <summary>Gets the alphas of its layers, ascending, as they take effect: where the file names none, the rank.</summary>
    public IReadOnlyList<double> Alphas { get; }

    /// <summary>Gets the components that it changes, by their names in diffusers (<c>unet</c>, <c>transformer</c>, <c>text_encoder</c>,
    /// <c>text_encoder_2</c>), with the number of layers.</summary>
    public IReadOnlyDictionary<string, int> Targets { get; }

    /// <summary>Gets the words that it was trained with, the most frequent first: <c>modelspec.trigger_phrase</c>, then the tags of
    /// <c>ss_tag_frequency</c>. Empty where the file has neither.</summary>
    public IReadOnlyList<string> TriggerWords { get; }

    /// <summary>Gets the model that it was trained on, as its metadata calls it (<c>ss_sd_model_name</c>, <c>modelspec.architecture</c>,
    /// <c>ss_base_model_version</c>); null if it does not.</summary>
    public string? BaseModel { get; }

    /// <summary>Gets all of the file's metadata.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    internal static LoraInspection Of(string path)
    {
        using var file = LoraFile.Open(path);
        return new(file.File, [.. file.Layers.Values]);
    }

    private static string FormatOf(IEnumerable<string> names)
    {
        var all = names.ToList();
        bool Any(Func<string, bool> has) => all.Exists(name => has(name));
        return Any(name => name.StartsWith("lora_transformer_", StringComparison.Ordinal)) ? "OneTrainer"
            : Any(name => name.StartsWith("lora_", StringComparison.Ordinal)) ? "kohya"
            : Any(name => XlabsName().IsMatch(name)) ? "XLabs"
            : Any(name => name.StartsWith("diffusion_model.", StringComparison.Ordinal)) ? "ComfyUI"
            : Any(name => name.StartsWith("double_blocks.", StringComparison.Ordinal)
                || name.StartsWith("single_blocks.", StringComparison.Ordinal)) ? "black-forest-labs"
            : "diffusers / PEFT";
    }

    private static string KindOf(LoraLayer layer)
    {
        var parts = layer.Product.Parts;
        return parts.ContainsKey(LoraProduct.Magnitude) ? "DoRA"
            : parts.Keys.Any(name => name.StartsWith("hada_", StringComparison.Ordinal)) ? "LoHa"
            : parts.Keys.Any(name => name.StartsWith("lokr_", StringComparison.Ordinal)) ? "LoKr"
            : parts.GetValueOrDefault(LoraProduct.Down)?.Shape.Count == 4 ? "LoCon"
            : "LoRA";
    }

    private static string TargetOf(string layer) =>
        layer.StartsWith("lora_te2", StringComparison.Ordinal) || layer.StartsWith("text_encoder_2.", StringComparison.Ordinal)
            ? "text_encoder_2"
        : layer.StartsWith("lora_te", StringComparison.Ordinal) || layer.StartsWith("text_encoder.", StringComparison.Ordinal)
            ? "text_encoder"
        : layer.StartsWith("lora_transformer", StringComparison.Ordinal) || layer.StartsWith("transformer.", StringComparison.Ordinal)
            ? "transformer"
        : "unet";

    private static string? FamilyOf(IReadOnlyCollection<LoraLayer> layers)
    {
        if (layers.Any(layer => FluxName().IsMatch(layer.Name)))
        {
            return "FLUX.1";
        }

        // Keys of the attention to the text have the width of the text.
        var widths = layers.Where(layer => TextKey().IsMatch(layer.Name)).Select(layer => layer.Product.Columns).ToHashSet();
        return widths.Contains(SdxlText) || layers.Any(layer => TargetOf(layer.Name) == "text_encoder_2") ? "SDXL"
            : widths.Contains(StableDiffusion1Text) ? "Stable Diffusion 1"
            : widths.Contains(StableDiffusion2Text) ? "Stable Diffusion 2"
            : widths.Contains(Kandinsky3Text) || layers.Any(layer => Kandinsky3Name().IsMatch(layer.Name)) ? "Kandinsky 3"
            : null;
    }

    private static string? FamilySaid(params string?[] architectures) =>
        architectures.OfType<string>().SelectMany(said => KnownArchitectures.Where(known =>
            said.Contains(known.Mark, StringComparison.OrdinalIgnoreCase)).Select(known => known.Family)).FirstOrDefault();

    private string? Said(params string[] keys) =>
        keys.Select(key => Metadata.GetValueOrDefault(key)).FirstOrDefault(value => value is not (null or "" or "None"));

    /// <summary>The words, as far as the metadata can be read: it is a note, and the file is usable without.</summary>
    private List<string> Words()
    {
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        try
        {
            using var document = JsonDocument.Parse(Metadata.GetValueOrDefault("ss_tag_frequency") ?? "{}");
            foreach (var tag in document.RootElement.EnumerateObject().SelectMany(folder => folder.Value.EnumerateObject()))
            {
                var word = tag.Name.Trim();
                counts[word] = counts.GetValueOrDefault(word)
                    + (tag.Value.ValueKind == JsonValueKind.Number && tag.Value.TryGetInt32(out var count) ? count : 0);
            }
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            counts.Clear();
        }

        return [.. new[] { Said("modelspec.trigger_phrase") }.OfType<string>()
            .Concat(counts.Where(pair => pair.Key.Length > 0).OrderByDescending(pair => pair.Value)
                .ThenBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => pair.Key)).Distinct()];
    }

    [GeneratedRegex(@"(qkv|proj)_lora[12]?\.(down|up)\.weight$")]
    private static partial Regex XlabsName();

    [GeneratedRegex(@"(double|single|single_transformer)_blocks[._]\d")]
    private static partial Regex FluxName();

    [GeneratedRegex(@"attn2[._]to_[kv]$")]
    private static partial Regex TextKey();

    [GeneratedRegex(@"attentions[._]\d+[._].*attention[._]to_")]
    private static partial Regex Kandinsky3Name();
}

/// <summary>Represents how a LoRA file and a model belong together. See <see cref="LoraAdapters.CheckFit"/>.</summary>
public sealed class LoraFit
{
    internal LoraFit(IReadOnlyList<string> matching, IReadOnlyList<string> unknown, IReadOnlyList<string> mismatched) =>
        (Matching, Unknown, Mismatched) = (matching, unknown, mismatched);

    /// <summary>Gets a value indicating whether every layer of the file can be added to the model.</summary>
    public bool Fits => Unknown.Count == 0 && Mismatched.Count == 0;

    /// <summary>Gets the layers that the model has, by the file's names.</summary>
    public IReadOnlyList<string> Matching { get; }

    /// <summary>Gets the layers that the model does not have.</summary>
    public IReadOnlyList<string> Unknown { get; }

    /// <summary>Gets the layers whose matrices are of another size than the model's, and those that the file has twice.</summary>
    public IReadOnlyList<string> Mismatched { get; }
}
