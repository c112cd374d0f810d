using System.Text.Json.Nodes;
using StorySync.Diffusion.Flux;
using StorySync.Diffusion.Schedulers;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>A checkpoint that holds a model, or its denoiser at least, in one file: as its authors publish it, or as ComfyUI writes
/// it.</summary>
internal sealed class SingleFile
{
    private SingleFile(string path, string model, string className, IReadOnlyList<ConfigFact> facts)
    {
        (Path, ClassName) = (path, className);
        Known = new KnownContents(model, facts);
    }

    /// <summary>Gets the file.</summary>
    public string Path { get; }

    /// <summary>Gets the pipeline's class in diffusers.</summary>
    public string ClassName { get; }

    /// <summary>Gets the configs and vocabularies that the published model of this kind has.</summary>
    public IModelContents Known { get; }

    /// <summary>Opens a file and finds out what it is. Of its tensors the latents' statistics alone are read, where it has them.</summary>
    /// <exception cref="ModelFileException">The file is damaged, or no model that is supported.</exception>
    public static SingleFile Open(string path)
    {
        using var file = WeightFile.Open(path);
        return Of(file);
    }

    /// <summary>Finds out what a file is.</summary>
    /// <exception cref="ModelFileException">It is not a model that is supported.</exception>
    internal static SingleFile Of(ITensorSource file)
    {
        var path = file.Path;
        if (CheckpointKind.Unsupported(file.Tensors) is { } other)
        {
            throw new ModelFileException(path, $"it is {other}, which is not supported; expected SDXL or FLUX.1");
        }

        if (StoredPart.Find("transformer", file.Tensors) is not null)
        {
            return new(path, "flux", "FluxPipeline", FluxFacts(file));
        }

        if (StoredPart.Find("unet", file.Tensors) is { } unet
            && (file.Tensors.ContainsKey($"{unet.Prefix}label_emb.0.0.weight")
                || file.Tensors.ContainsKey("add_embedding.linear_1.weight")))
        {
            return new(path, "sdxl", "StableDiffusionXLPipeline", [.. SdxlFacts(file, unet.Prefix + (unet.Part.Table is null
                ? "conv_in.weight" : "input_blocks.0.0.weight"))]);
        }

        throw new ModelFileException(path, "it holds no SDXL or FLUX.1 denoiser, so no model can be loaded from it"
            + (CheckpointKind.Guess(file.Tensors) is { } kind ? $"; its tensors are {kind}" : "")
            + "; expected a single-file checkpoint, or a folder in the layout of diffusers");
    }

    /// <summary>Opens a component under diffusers' names; null if the file does not hold it.</summary>
    public ITensorSource? TryOpen(string component, bool maps) => TryOpen(Path, component, maps);

    /// <summary>Opens a component that is a file of its own.</summary>
    /// <exception cref="ModelFileException">The file does not hold the component.</exception>
    public static ITensorSource OpenPart(string path, string component, bool maps)
    {
        if (TryOpen(path, component, maps) is { } source)
        {
            return source;
        }

        using var file = WeightFile.Open(path);
        throw new ModelFileException(path, $"it was given as the model's {component} and holds none"
            + (CheckpointKind.Guess(file.Tensors) is { } kind ? $": its tensors are {kind}" : ""));
    }

    private static RenamedTensors? TryOpen(string path, string component, bool maps)
    {
        var file = WeightFile.Open(path, maps);
        try
        {
            if (StoredPart.Of(component, file) is { } part)
            {
                return part;
            }
        }
        catch
        {
            file.Dispose();
            throw;
        }

        file.Dispose();
        return null;
    }

    /// <summary>A model for inpainting has more channels. Files of models that predict velocities have an empty tensor that says so, by a
    /// convention of ComfyUI's.</summary>
    private static IEnumerable<ConfigFact> SdxlFacts(ITensorSource file, string firstConvolution)
    {
        if (file.Tensors.TryGetValue(firstConvolution, out var info) && info.Shape is [_, var channels, _, _])
        {
            yield return new("unet", "config.json", "in_channels", channels);
        }

        if (file.Tensors.ContainsKey("v_pred"))
        {
            yield return new("scheduler", "scheduler_config.json", "prediction_type", "v_prediction");
        }

        if (file.Tensors.ContainsKey("ztsnr"))
        {
            yield return new("scheduler", "scheduler_config.json", "rescale_betas_zero_snr", true);
        }

        if (file.Tensors.ContainsKey("edm_mean") && file.Tensors.ContainsKey("edm_std"))
        {
            foreach (var fact in PlaygroundFacts(file))
            {
                yield return fact;
            }
        }
    }

    /// <summary>Playground v2.5 is SDXL trained as EDM's models are, on latents whose statistics the file has. Its scheduler's other
    /// entries are the class's defaults.</summary>
    private static IEnumerable<ConfigFact> PlaygroundFacts(ITensorSource file)
    {
        const string Vae = "vae", Config = "config.json", Edm = nameof(EDMDPMSolverMultistepScheduler);
        yield return new(Vae, Config, "latents_mean", Numbers("edm_mean"));
        yield return new(Vae, Config, "latents_std", Numbers("edm_std"));
        yield return new(Vae, Config, "scaling_factor", 0.5);
        yield return new("", "model_index.json", "scheduler", new JsonArray("diffusers", Edm));
        yield return new("scheduler", "scheduler_config.json", "_class_name", Edm);
        yield return new("scheduler", "scheduler_config.json", "sigma_data", 0.5);

        JsonArray Numbers(string name)
        {
            using var scope = NewDisposeScope();
            return new([.. file.Read(name).flatten().to(float64).data<double>().Select(value => (JsonNode)value)]);
        }
    }

    /// <summary>FLUX.1 dev knows guidance, and its steps are shifted by the size of the image.</summary>
    private static List<ConfigFact> FluxFacts(ITensorSource file)
    {
        using var names = new FluxSingleFile(file);
        var config = names.ReadConfig();
        var facts = ComponentConfig.WithoutDefaults(config)
            .Select(entry => new ConfigFact("transformer", "config.json", entry.Key, entry.Value?.DeepClone())).ToList();
        if (config.GuidanceEmbeds)
        {
            facts.Add(new("scheduler", "scheduler_config.json", "shift", 3.0));
            facts.Add(new("scheduler", "scheduler_config.json", "use_dynamic_shifting", true));
        }

        return facts;
    }
}
