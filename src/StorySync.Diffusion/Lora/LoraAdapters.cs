using StorySync.Diffusion.Weights;
using StorySync.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Lora;

/// <summary>Represents the LoRAs on a model: any number together, each with its scale, on or off (diffusers' <c>load_lora_weights</c> and
/// <c>set_adapters</c>). They are merged into the weights, so that a run with them costs no more than one without; the weights as they were
/// are kept and come back to the bit. On a pipeline a change waits until the generations under way are over.</summary>
public sealed class LoraAdapters : IDisposable
{
    private readonly Dictionary<string, List<LoraTarget>> targets = [];
    private readonly Dictionary<Tensor, (ModuleTensor Weight, Tensor Values)> originals = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<string, (LoraFile File, double Scale)> adapters = [];
    private bool enabled = true;

    /// <summary>What changes wait for; null for nothing.</summary>
    internal RunGate? Gate { get; set; }

    /// <summary>Gets or sets what checks that the files whose bytes are the weights are as they were; called before weights are
    /// read.</summary>
    internal Action? CheckFiles { get; set; }

    /// <summary>Initializes a new instance of the <see cref="LoraAdapters"/> class without LoRAs.</summary>
    /// <param name="components">The components that LoRAs may change, by their names in diffusers (<c>unet</c>,
    /// <c>text_encoder</c>, <c>text_encoder_2</c>, <c>transformer</c>), with the resnets of a level for a UNet.</param>
    internal LoraAdapters(IEnumerable<(string Name, nn.Module Module, int? ResnetsPerLevel)> components)
    {
        foreach (var (component, module, resnets) in components)
        {
            foreach (var (name, layer, form) in LoraNames.Of(component, module, resnets))
            {
                if (!targets.TryGetValue(name, out var known))
                {
                    targets.Add(name, known = []);
                }

                // Names of the authors that are diffusers' as well stand for the same layer, and in lines two layers can have one name.
                if (known.Count == 0 || (known[0].Component == module && form != TensorForm.Whole && known[0].Form != TensorForm.Whole))
                {
                    known.Add(new(module, layer, form));
                }
            }
        }
    }

    /// <summary>The type that the model computes in, where its weights may be stored in a smaller one (blocks that are streamed): merged
    /// weights are not rounded to less. Null keeps the type of each weight.</summary>
    internal ScalarType? ComputeType { get; init; }

    /// <summary>The files of the LoRAs that are loaded, by name.</summary>
    internal IReadOnlyDictionary<string, ITensorSource> Files => adapters.ToDictionary(
        a => a.Key, a => (ITensorSource)a.Value.File.File);

    /// <summary>Gets the LoRAs that are loaded, by name, with their scales.</summary>
    public IReadOnlyDictionary<string, double> Scales => adapters.ToDictionary(a => a.Key, a => a.Value.Scale);

    /// <summary>Gets a value indicating whether the LoRAs have an effect. Default true.</summary>
    public bool Enabled
    {
        get => enabled;
        set
        {
            using var change = BeginChange(value);
            enabled = value;
            Merge();
        }
    }

    /// <summary>Loads a LoRA.</summary>
    /// <param name="path">A safetensors file in the layout of diffusers / PEFT, of kohya's scripts, ComfyUI, OneTrainer, XLabs or the
    /// authors of the model.</param>
    /// <param name="name">A name to call it by; null for the file's own.</param>
    /// <param name="scale">How strong it is; 1 as it was trained.</param>
    /// <returns>The name.</returns>
    /// <exception cref="ModelFileException">The file is missing, damaged, no LoRA, or one for another model.</exception>
    /// <exception cref="ArgumentException">There is a LoRA of that name already, or the scale is not a number.</exception>
    public string Load(string path, string? name = null, double scale = 1)
    {
        ArgumentNullException.ThrowIfNull(path);
        name ??= Path.GetFileNameWithoutExtension(path);
        CheckScale(scale);
        using var change = BeginChange(enabled);
        if (adapters.ContainsKey(name))
        {
            throw new ArgumentException($"There is a LoRA '{name}' already; remove it first, or give this one another name.", nameof(name));
        }

        var file = LoraFile.Open(path);
        try
        {
            Check(file);
            adapters.Add(name, (file, scale));
            Merge();
            return name;
        }
        catch
        {
            if (adapters.Remove(name))
            {
                Merge();
            }

            file.Dispose();
            throw;
        }
    }

    /// <summary>Inspects a LoRA file, without a model: its header is read, and alphas, but no matrix.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="ModelFileException">The file is missing, damaged, or no LoRA of a layout that is known.</exception>
    public static LoraInspection Inspect(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        return LoraInspection.Of(path);
    }

    /// <summary>Checks which layers of a LoRA file this model has, without loading it: its header is read, and alphas, but no
    /// matrix.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="ModelFileException">The file is missing, damaged, or no LoRA of a layout that is known.</exception>
    public LoraFit CheckFit(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        using var file = LoraFile.Open(path);
        var weights = Weights();
        string[] twice = [.. Twice(file) ?? Enumerable.Empty<string>()];
        var (known, unknown) = (file.Layers.Values.Where(layer => targets.ContainsKey(layer.Name)),
            file.Layers.Keys.Where(name => !targets.ContainsKey(name)));
        var fitting = known.ToLookup(layer => !twice.Contains(layer.Name) && targets[layer.Name].TrueForAll(target =>
            weights[target.Component].GetValueOrDefault(target.Layer + ".weight") is { } weight
                && layer.Fits(weight.Tensor.shape, target.Form)), layer => layer.Name);
        return new([.. fitting[true]], [.. unknown], [.. fitting[false]]);
    }

    /// <summary>Sets how strong a LoRA is.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="scale">1 as it was trained, 0 for no effect.</param>
    /// <exception cref="KeyNotFoundException">There is no LoRA of that name.</exception>
    public void SetScale(string name, double scale)
    {
        CheckScale(scale);
        using var change = BeginChange(enabled);
        adapters[name] = Find(name) with { Scale = scale };
        Merge();
    }

    /// <summary>Sets scales until the result is disposed of. Who calls it sees to it that nothing else uses the weights.</summary>
    /// <param name="scales">By name; LoRAs that are not named keep their scale.</param>
    internal IDisposable With(IReadOnlyDictionary<string, double> scales)
    {
        CheckFiles?.Invoke();
        ThrowIfChanged();
        var before = adapters.ToDictionary();
        var restore = new Restore(() => Set(before));
        try
        {
            Set(adapters.ToDictionary(a => a.Key, a => a.Value with { Scale = scales.GetValueOrDefault(a.Key, a.Value.Scale) }));
            return restore;
        }
        catch
        {
            restore.Dispose();
            throw;
        }

        void Set(Dictionary<string, (LoraFile File, double Scale)> values)
        {
            foreach (var (name, adapter) in values)
            {
                adapters[name] = adapter;
            }

            Merge();
        }
    }

    /// <summary>Takes a LoRA off.</summary>
    /// <param name="name">Its name.</param>
    /// <exception cref="KeyNotFoundException">There is no LoRA of that name.</exception>
    /// <exception cref="ModelFileException">The file of another LoRA was written to since it was loaded; remove that one first.</exception>
    public void Remove(string name)
    {
        using var change = BeginChange(enabled, name);
        var file = Find(name).File;
        adapters.Remove(name);
        Merge();
        file.Dispose();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (file, _) in adapters.Values)
        {
            file.Dispose();
        }

        adapters.Clear();
        foreach (var (_, values) in originals.Values)
        {
            values.Dispose();
        }

        originals.Clear();
    }

    /// <param name="reads">Whether the LoRAs will be read.</param>
    /// <param name="removed">The one that will not be.</param>
    private IDisposable? BeginChange(bool reads, string? removed = null)
    {
        var change = Gate?.Change();
        try
        {
            CheckFiles?.Invoke();
            if (reads)
            {
                ThrowIfChanged(removed);
            }

            return change;
        }
        catch
        {
            change?.Dispose();
            throw;
        }
    }

    /// <summary>Checks, before any weight is changed, that the files of the LoRAs are as they were.</summary>
    private void ThrowIfChanged(string? removed = null)
    {
        foreach (var (name, (file, _)) in adapters)
        {
            if (name != removed)
            {
                file.ThrowIfChanged();
            }
        }
    }

    /// <summary>The names in a file of a layer for which it has several; null without any.</summary>
    private IGrouping<LoraTarget, string>? Twice(LoraFile file) => file.Layers.Keys
        .SelectMany(name => targets.GetValueOrDefault(name) ?? [], (name, target) => (Name: name, Target: target))
        .GroupBy(pair => pair.Target, pair => pair.Name).FirstOrDefault(names => names.Count() > 1);

    /// <summary>Checks that every layer of a file is one of the model's and can be added to its weight.</summary>
    private void Check(LoraFile file)
    {
        var unexpected = file.Layers.Keys.Where(layer => !targets.ContainsKey(layer)).ToList();
        if (unexpected is [var first, ..])
        {
            throw new ModelFileException(
                file.Layers[first].File.Path,
                    $"{unexpected.Count} of its {file.Layers.Count} layers are none of this model's, '{first}' for example: "
                    + "the LoRA was made for another kind of model");
        }

        if (Twice(file) is { } twice)
        {
            throw new ModelFileException(
                file.Layers[twice.First()].File.Path,
                $"its layers {string.Join(" and ", twice.Select(name => $"'{name}'"))} are one layer of the model, '{twice.Key.Layer}'; "
                    + "expected each once");
        }

        using var mode = no_grad();
        var weights = Weights();
        foreach (var (name, layer) in file.Layers)
        {
            foreach (var target in targets[name])
            {
                layer.Check(Weight(target, layer, weights).Tensor, target.Form);
            }
        }
    }

    /// <summary>Makes the weights what the adapters say, from the weights as they were.</summary>
    private void Merge()
    {
        using var mode = no_grad();
        var weights = Weights();
        var layers = adapters.Values.Where(a => enabled && a.Scale != 0)
            .SelectMany(a => a.File.Layers.SelectMany(l => targets[l.Key].Select(target =>
                (Weight: Weight(target, l.Value, weights), Layer: l.Value, target.Form, a.Scale))))
            .ToLookup(l => l.Weight.Tensor, ReferenceEqualityComparer.Instance);

        foreach (var weight in layers.Select(l => l.First().Weight).Where(w => !originals.ContainsKey(w.Tensor)))
        {
            weight.Materialize();
            originals.Add(weight.Tensor, (weight, weight.Tensor.alias().DetachFromDisposeScope()));
        }

        foreach (var (parameter, (weight, original)) in originals.ToList())
        {
            using var scope = NewDisposeScope();
            if (!layers.Contains(parameter))
            {
                originals.Remove(parameter);
                weight.Replace(original);
                continue;
            }

            var merged = original.to(float32, copy: true);
            foreach (var (_, layer, form, scale) in layers[parameter])
            {
                merged.Plus_(layer.Delta(original, form), scale);
            }

            weight.Replace(merged.to(MergedType(original.dtype)).DetachFromDisposeScope());
        }
    }

    private ScalarType MergedType(ScalarType stored) => ComputeType == float32 ? float32 : stored;

    /// <summary>The weights of all components, by component and name.</summary>
    private Dictionary<nn.Module, Dictionary<string, ModuleTensor>> Weights() =>
        targets.Values.Select(named => named[0].Component).Distinct()
        .ToDictionary(component =>
            component, component => ModuleTensors.ParametersOf(component).ToDictionary(tensor => tensor.Name, StringComparer.Ordinal));

    private static ModuleTensor Weight(
        LoraTarget target, LoraLayer adapter, Dictionary<nn.Module, Dictionary<string, ModuleTensor>> weights) =>
        weights[target.Component].GetValueOrDefault(target.Layer + ".weight")
        ?? throw new ModelFileException(adapter.File.Path,
            $"layer '{adapter.Name}' is '{target.Layer}' of the model, which has no weight to add to");

    private (LoraFile File, double Scale) Find(string name) => adapters.TryGetValue(name, out var adapter)
        ? adapter
        : throw new KeyNotFoundException(
            $"There is no LoRA '{name}'; loaded are: {string.Join(", ", adapters.Keys.DefaultIfEmpty("none"))}.");

    private sealed class Restore(Action restore) : IDisposable
    {
        public void Dispose() => restore();
    }

    private static void CheckScale(double scale)
    {
        if (!double.IsFinite(scale))
        {
            throw new ArgumentException($"The scale is {scale}; it must be a number.", nameof(scale));
        }
    }
}
