using System.Text.Json;

namespace StorySync.Diffusion.Weights;

/// <summary>Represents a model in the folder layout of diffusers: <c>model_index.json</c> and a folder for each component, or a single
/// component's folder with its <c>config.json</c> and weights. A model in a single file is seen as such a folder.</summary>
public sealed class ModelFolder
{
    /// <summary>What the index has under names that may be components', where it is not a component: as it is written there.</summary>
    private readonly Dictionary<string, string> otherEntries;

    private readonly IReadOnlyDictionary<string, string> replacements;
    private readonly SingleFile? single;
    private readonly ModelFolder? config;

    private ModelFolder(string path, string name, IReadOnlyDictionary<string, string>? replacements, SingleFile? single = null,
        ModelFolder? config = null)
    {
        (Path, Name, this.replacements, this.single, this.config) = (path, name, replacements ?? NoReplacements, single, config);
        Contents = config?.Contents ?? single?.Known ?? new FolderContents(path);
        (ClassName, Components, otherEntries) = Contents.TryRead("", "model_index.json") is { } index ? ReadIndex(index) : (null, [], []);
        if (single is not null && config is not null && ClassName?.Contains(Family(single.ClassName), StringComparison.Ordinal) == false)
        {
            throw new ModelFileException(config.Path,
                $"its model_index.json is of {ClassName}, but {path} is a model for {single.ClassName}; give the folder of such a model");
        }

        static string Family(string className) => className.Replace("Pipeline", "", StringComparison.Ordinal);
    }

    private static IReadOnlyDictionary<string, string> NoReplacements { get; } = new Dictionary<string, string>();

    /// <summary>Gets the folder, or the single file.</summary>
    public string Path { get; }

    /// <summary>Gets the configs and vocabularies.</summary>
    internal IModelContents Contents { get; }

    /// <summary>Gets a value indicating whether the model is a single file.</summary>
    internal bool IsSingleFile => single is not null;

    /// <summary>Gets what the model is called: the name that it was opened by, without the folders that it lies in.</summary>
    internal string Name { get; }

    /// <summary>Gets the pipeline's class in diffusers (<c>StableDiffusionXLPipeline</c>, for example); null if there is no
    /// <c>model_index.json</c>.</summary>
    public string? ClassName { get; }

    /// <summary>Gets the components that <c>model_index.json</c> names, without those that are left out there.</summary>
    internal IReadOnlyDictionary<string, ModelComponent> Components { get; }

    /// <summary>Gets or sets a value indicating whether weights are mapped into memory, or read.</summary>
    internal bool MapsWeights { get; set; } = true;

    /// <summary>Gets or sets a value indicating whether weights are rounded to 8 bits, but for the autoencoder's.</summary>
    internal bool RoundsWeights { get; set; }

    /// <summary>Gets the components whose weights were asked for in a variant that they do not have.</summary>
    internal List<string> WithoutVariant { get; } = [];

    /// <summary>Gets the files of weights that models loaded from this folder use where they are.</summary>
    internal List<MappedFile> FilesInUse { get; } = [];

    /// <summary>Opens a model. Nothing is downloaded.</summary>
    /// <param name="model">A folder; a single file; a name known to this library (<c>storybook</c>); or <c>organisation/name</c> or
    /// <c>organisation/name@revision</c>, looked up in the Hugging Face cache.</param>
    /// <exception cref="ModelFileException">It could not be found, its <c>model_index.json</c> cannot be read, or the file holds no model
    /// that is supported.</exception>
    public static ModelFolder Open(string model) => Open(model, config: null, replacements: null);

    /// <summary>Opens a model with parts from elsewhere.</summary>
    /// <param name="model">As in <see cref="Open(string)"/>.</param>
    /// <param name="config">Where the configs and vocabularies of a single file are, and weights that it lacks; null for those of the
    /// published model.</param>
    /// <param name="replacements">Components that come from elsewhere: a folder, a name in the Hugging Face cache, or a file.</param>
    internal static ModelFolder Open(string model, string? config, IReadOnlyDictionary<string, string>? replacements)
    {
        ArgumentException.ThrowIfNullOrEmpty(model);
        if (File.Exists(model))
        {
            var folder = config is null ? null : Open(config);
            return folder?.single is null
                ? new ModelFolder(model, System.IO.Path.GetFileName(model), replacements, SingleFile.Open(model), folder)
                : throw new ModelFileException(folder.Path, "a file, where a folder with configs was expected");
        }

        return Directory.Exists(model)
            ? new ModelFolder(model, new DirectoryInfo(model).Name, replacements)
            : new ModelFolder(KnownModels.Find(model) ?? HubCache.Default.Resolve(model), model, replacements);
    }

    /// <summary>Returns a value indicating whether a component is there: named in the index, or as a folder.</summary>
    /// <param name="component">Its name, <c>unet</c> for example.</param>
    public bool Has(string component) => Components.ContainsKey(component)
        || Directory.Exists(System.IO.Path.Combine(config?.Path ?? Path, component));

    /// <summary>Returns a component's folder.</summary>
    /// <param name="component">Its name; empty for the folder itself.</param>
    /// <exception cref="ModelFileException">There is no such folder, or the index does not name a class for it.</exception>
    public string ComponentPath(string component)
    {
        ArgumentNullException.ThrowIfNull(component);
        if (otherEntries.TryGetValue(component, out var entry))
        {
            throw new ModelFileException(System.IO.Path.Combine(Path, "model_index.json"),
                $"'{component}' is {(entry.Length > 80 ? entry[..80] + "…" : entry)}; this model needs the component: expected a library and the name of a class, "
                + """["diffusers", "AutoencoderKL"] for example""");
        }

        if (single is not null)
        {
            return config?.ComponentPath(component)
                ?? throw new ModelFileException(Path, $"it is a single file, so there is no folder of its '{component}'");
        }

        var path = System.IO.Path.Combine(Path, component);
        if (Directory.Exists(path))
        {
            return path;
        }

        var folders = Directory.EnumerateDirectories(Path).Select(System.IO.Path.GetFileName).Order().DefaultIfEmpty("none");
        throw new ModelFileException(path, $"the model has no such folder; it has {string.Join(", ", folders)}");
    }

    /// <summary>Returns a file of a component.</summary>
    /// <param name="component">The component; empty for the folder itself.</param>
    /// <param name="file">The file's name.</param>
    /// <exception cref="ModelFileException">There is no such file.</exception>
    public string FilePath(string component, string file)
    {
        var path = System.IO.Path.Combine(ComponentPath(component), file);
        return File.Exists(path) ? path : throw Missing(path);
    }

    /// <summary>Reads a small file of a component, wherever the model has it.</summary>
    /// <param name="component">The component; empty for the model itself.</param>
    /// <param name="file">The file's name.</param>
    /// <exception cref="ModelFileException">There is no such file.</exception>
    internal FileContent ReadFile(string component, string file) =>
        Replacement(component) is { } other && other.Contents.TryRead("", file) is { } replaced ? replaced
        : single is null ? FileContent.Read(FilePath(component, file))
        : Contents.TryRead(component, file) ?? throw ModelFileException.NotFound(Contents.PathOf(component, file));

    /// <summary>Reads a small file of a component, wherever the model has it; null if there is none.</summary>
    internal FileContent? TryReadFile(string component, string file) =>
        Replacement(component)?.Contents.TryRead("", file) ?? Contents.TryRead(component, file);

    private ModelFileException Missing(string path)
    {
        var revisions = System.IO.Path.Combine(Path, "snapshots");
        return Directory.Exists(revisions)
            ? new ModelFileException(path,
                "there is no such file: this is a model's folder in the Hugging Face cache; open the model by its name, "
                + $"or one of the folders in {revisions}")
            : ModelFileException.NotFound(path);
    }

    /// <summary>Reads a component's config into a record.</summary>
    /// <remarks>
    /// A property <c>NormNumGroups</c> takes the entry <c>norm_num_groups</c>; another name is given by
    /// <see cref="System.Text.Json.Serialization.JsonPropertyNameAttribute"/>. An entry that is missing leaves the property's initial
    /// value, which is where a class's defaults stand; so does null, unless the property's type allows it, or is bool: Python takes None
    /// for false. Entries without a property are ignored. Validation attributes
    /// (<see cref="System.ComponentModel.DataAnnotations.RangeAttribute"/>, for example) hold for a property's value or, in a list, for
    /// each of its values; <see cref="System.ComponentModel.DataAnnotations.MaxLengthAttribute"/> holds for the list.
    /// </remarks>
    /// <typeparam name="T">The record to read into.</typeparam>
    /// <param name="component">The component; empty for the folder itself.</param>
    /// <param name="file">The config's name: <c>scheduler_config.json</c> for schedulers.</param>
    /// <exception cref="ModelFileException">It is missing, or an entry is wrong.</exception>
    public T Config<T>(string component, string file = "config.json")
        where T : class => ComponentConfig.Read<T>(ReadFile(component, file));

    /// <summary>Opens a component's weights, in one file or several.</summary>
    /// <param name="component">The component; empty for the folder itself.</param>
    /// <param name="variant">The variant to prefer (<c>fp16</c>, for example) over the plain files; null prefers the plain files, and
    /// takes a variant where there are none.</param>
    /// <exception cref="ModelFileException">There are none, or they cannot be read.</exception>
    public ITensorSource OpenWeights(string component, string? variant = null)
    {
        var weights = OpenStored(component, variant);
        return RoundsWeights && component is not ("vae" or "movq") ? new QuantizedTensors(weights) : weights;
    }

    private ITensorSource OpenStored(string component, string? variant)
    {
        if (replacements.TryGetValue(component, out var replaced))
        {
            return Replacement(component) is { } other ? other.OpenWeights("", variant)
                : SingleFile.OpenPart(replaced, component, MapsWeights);
        }

        return single is null ? OpenOwnWeights(component, variant)
            : single.TryOpen(component, MapsWeights) ?? OpenConfigWeights(component, variant);
    }

    /// <summary>The weights that a single file lacks.</summary>
    private ITensorSource OpenConfigWeights(string component, string? variant)
    {
        if (config is not null && System.IO.Path.Combine(config.Path, component) is var folder && Directory.Exists(folder)
            && Directory.EnumerateFiles(folder, "*.safetensors").Any())
        {
            config.MapsWeights = MapsWeights;
            return config.OpenWeights(component, variant);
        }

        throw new ModelFileException(Path, $"it holds no '{component}'; give the model's own, or one that fits it, as PipelineOptions."
            + component switch { "vae" => "Vae", "text_encoder" => "TextEncoder", _ => "TextEncoder2" });
    }

    /// <summary>The folder of a component that comes from elsewhere; null if it does not, or is a file.</summary>
    private ModelFolder? Replacement(string component)
    {
        if (!replacements.TryGetValue(component, out var path) || File.Exists(path))
        {
            return null;
        }

        var other = Open(path);
        other.MapsWeights = MapsWeights;
        return other;
    }

    private ITensorSource OpenOwnWeights(string component, string? variant)
    {
        var folder = ComponentPath(component);
        var (name, isIndex) = WeightFiles.Choose(Names(folder), variant) ?? throw NoWeights(folder, variant);
        if (variant is not null && !name.Contains($".{variant}.", StringComparison.Ordinal))
        {
            WithoutVariant.Add(component);
        }

        var path = System.IO.Path.Combine(folder, name);
        return isIndex ? ShardedSafetensors.Open(path, MapsWeights) : SafetensorsFile.Open(path, MapsWeights);
    }

    /// <summary>Checks the files against the SHA-256 that is the name of a large file's blob in the Hugging Face cache.</summary>
    /// <param name="progress">Receives the result for each file as its check completes.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    /// <returns>All files of the folder, or the single file. In a folder that is not of the cache, none can be checked.</returns>
    public async Task<IReadOnlyList<FileCheck>> VerifyAsync(
        IProgress<FileCheck>? progress = null, CancellationToken cancellationToken = default)
    {
        var checks = new List<FileCheck>();
        IEnumerable<string> files = single is null ? Directory.EnumerateFiles(Path, "*", SearchOption.AllDirectories) : [Path];
        foreach (var file in files.Order(StringComparer.Ordinal))
        {
            checks.Add(await FileCheck.OfAsync(file, cancellationToken).ConfigureAwait(false));
            progress?.Report(checks[^1]);
        }

        return checks;
    }

    private static HashSet<string> Names(string folder) =>
        [.. Directory.EnumerateFiles(folder).Select(file => System.IO.Path.GetFileName(file))];

    private static ModelFileException NoWeights(string folder, string? variant)
    {
        var files = Names(folder).Order(StringComparer.Ordinal).ToArray();
        if (WeightFiles.Variants(files).ToList() is { Count: > 0 } others)
        {
            return new(folder,
                $"it has no weights of the variant '{variant}' and no plain ones; it has the variants {string.Join(", ", others)}");
        }

        if (Array.Find(files, file => file.Contains("-of-", StringComparison.Ordinal) && IsOf(file, ".safetensors")) is { } shard)
        {
            return new(folder, $"it has shards of a checkpoint ('{shard}') and no index of them; "
                + $"expected {string.Join(" or ", WeightFiles.Stems.Select(stem => stem + ".safetensors.index.json"))}: download it too");
        }

        if (Array.Find(files, file => System.IO.Path.GetExtension(file) is ".bin" or ".ckpt" or ".pt" or ".pth") is { } pickle)
        {
            return ForeignFile.Pickle(System.IO.Path.Combine(folder, pickle));
        }

        var found = files.Where(file => IsOf(file, ".safetensors") || IsOf(file, ".gguf") || IsOf(file, ".msgpack")
            || IsOf(file, ".onnx")).ToList();
        return new(folder,
            $"it holds no weights that can be read; expected {string.Join(" or ", WeightFiles.Stems.Select(stem => stem + ".safetensors"))}, "
            + $"or their .index.json; it has {string.Join(", ", found.DefaultIfEmpty("no file of weights"))}");

        static bool IsOf(string file, string extension) => file.EndsWith(extension, StringComparison.OrdinalIgnoreCase);
    }

    private static (string? ClassName, Dictionary<string, ModelComponent> Components, Dictionary<string, string> Others) ReadIndex(
        FileContent file) =>
        JsonFile.Read(file, root =>
        {
            var path = file.Path;
            var components = new Dictionary<string, ModelComponent>(StringComparer.Ordinal);
            var others = new Dictionary<string, string>(StringComparer.Ordinal);
            foreach (var entry in root.EnumerateObject())
            {
                // Besides components there are settings; null or [null, null] is a component that the model leaves out.
                if (entry.Value.ValueKind == JsonValueKind.Array && entry.Value.GetArrayLength() == 2
                    && entry.Value[0].ValueKind == JsonValueKind.String && entry.Value[1].ValueKind == JsonValueKind.String)
                {
                    components.Add(entry.Name, new ModelComponent(entry.Value[0].GetString()!, entry.Value[1].GetString()!));
                }
                else
                {
                    others.Add(entry.Name, entry.Value.GetRawText());
                }
            }

            var className = !root.TryGetProperty("_class_name", out var name) ? null
                : name.ValueKind == JsonValueKind.Array
                    ? throw new ModelFileException(path,
                        $"'_class_name' is the list {name.GetRawText()}: the pipeline brings Python code of its own, which is not "
                        + "supported; expected the name of a class of diffusers")
                : name.ValueKind == JsonValueKind.String ? name.GetString()
                : throw new ModelFileException(path, $"'_class_name' is {name.GetRawText()}; it must be the name of a class of diffusers");
            return (className, components, others);
        });
}

/// <summary>What <c>model_index.json</c> says of a component.</summary>
/// <param name="Library">The Python library of its class: <c>diffusers</c> or <c>transformers</c>.</param>
/// <param name="ClassName">Its class there.</param>
internal sealed record ModelComponent(string Library, string ClassName);
