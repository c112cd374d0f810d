using System.Text.Json;
using System.Text.Json.Nodes;
using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.Schedulers;

/// <summary>
/// Turns noise into a sample step by step. A scheduler is immutable: <see cref="CreatePlan(int)"/> gives an immutable plan, and what a
/// generation has to remember from step to step lives in the run that <see cref="SchedulePlan.Start"/> makes of it. So any number of
/// generations can share a scheduler and a plan, on any threads.
/// </summary>
public abstract class Scheduler
{
    private static readonly Dictionary<string, Func<string, JsonElement, Scheduler>> Classes = new()
    {
        [nameof(DDIMScheduler)] = Class<DDIMSchedulerConfig>(config => new DDIMScheduler(config)),
        [nameof(DDPMScheduler)] = Class<DDPMSchedulerConfig>(config => new DDPMScheduler(config)),
        [nameof(DPMSolverMultistepScheduler)] = Class<DPMSolverMultistepSchedulerConfig>(config => new DPMSolverMultistepScheduler(config)),
        [nameof(EDMDPMSolverMultistepScheduler)] = Class<EDMDPMSolverMultistepSchedulerConfig>(config =>
            new EDMDPMSolverMultistepScheduler(config)),
        [nameof(EDMEulerScheduler)] = Class<EDMEulerSchedulerConfig>(config => new EDMEulerScheduler(config)),
        [nameof(EulerAncestralDiscreteScheduler)] = Class<EulerAncestralDiscreteSchedulerConfig>(config =>
            new EulerAncestralDiscreteScheduler(config)),
        [nameof(EulerDiscreteScheduler)] = Class<EulerDiscreteSchedulerConfig>(config => new EulerDiscreteScheduler(config)),
        [nameof(FlowMatchEulerDiscreteScheduler)] = Class<FlowMatchEulerDiscreteSchedulerConfig>(config =>
            new FlowMatchEulerDiscreteScheduler(config)),
        [nameof(HeunDiscreteScheduler)] = Class<HeunDiscreteSchedulerConfig>(config => new HeunDiscreteScheduler(config)),
        [nameof(LCMScheduler)] = Class<LCMSchedulerConfig>(config => new LCMScheduler(config)),
        [nameof(PNDMScheduler)] = Class<PNDMSchedulerConfig>(config => new PNDMScheduler(config)),
        [nameof(TCDScheduler)] = Class<TCDSchedulerConfig>(config => new TCDScheduler(config)),
        [nameof(UniPCMultistepScheduler)] = Class<UniPCMultistepSchedulerConfig>(config => new UniPCMultistepScheduler(config)),
    };

    private JsonObject? entries;

    private protected Scheduler(SchedulerConfig config)
    {
        if (ComponentConfig.Errors(config).FirstOrDefault() is { } error)
        {
            throw new ArgumentException(error, nameof(config));
        }

        TrainTimesteps = config.NumTrainTimesteps;
        Config = config;
    }

    /// <summary>Gets the names of the classes that <see cref="FromConfig"/> knows.</summary>
    public static IReadOnlyCollection<string> ClassNames => Classes.Keys;

    /// <summary>Gets the entries that the scheduler was made from.</summary>
    public SchedulerConfig Config { get; }

    /// <summary>Gets the number of noise levels that the model was trained with.</summary>
    public int TrainTimesteps { get; }

    /// <summary>Gets what the model has to predict: <c>epsilon</c>, <c>v_prediction</c>, <c>sample</c> or, for flow matching,
    /// <c>flow_prediction</c>.</summary>
    public abstract string PredictionType { get; }

    /// <summary>Gets a value indicating whether the noise levels are those of flow matching, a straight line from data to noise.</summary>
    public virtual bool UsesFlowSigmas => false;

    /// <summary>Gets how often the model is called per step: 2 for Heun, else 1.</summary>
    public virtual int Order => 1;

    /// <summary>Reads a <c>scheduler_config.json</c> and makes the scheduler that its <c>_class_name</c> names. Entries that the class
    /// does not know are ignored; those that are missing or null have diffusers' default.</summary>
    /// <param name="path">The file.</param>
    /// <param name="className">The diffusers class to make in place of the one the file names: the way to put another scheduler on a
    /// model.</param>
    /// <exception cref="ModelFileException">The file is missing or damaged, names no known class, or has an entry that is not
    /// supported.</exception>
    public static Scheduler Load(string path, string? className = null) => Load(FileContent.Read(path), className);

    /// <summary>Loads a scheduler as <see cref="Load(string, string)"/> does, from a file that is read already.</summary>
    internal static Scheduler Load(FileContent file, string? className) =>
        JsonFile.Read(file, json => Create(file.Path, json, className));

    /// <summary>Creates the scheduler of a model as diffusers does: <c>model_index.json</c> names the class, the file
    /// <c>scheduler_config.json</c> has the entries. A model without that index has the class in the file.</summary>
    /// <param name="folder">The model.</param>
    /// <param name="component">The component's name.</param>
    /// <exception cref="ModelFileException">The file is missing or damaged, the class is not known, or an entry is not
    /// supported.</exception>
    public static Scheduler Load(ModelFolder folder, string component = "scheduler")
    {
        ArgumentNullException.ThrowIfNull(folder);
        var file = folder.ReadFile(component, "scheduler_config.json");
        if (folder.Components.GetValueOrDefault(component)?.ClassName is { } name && !Classes.ContainsKey(name))
        {
            throw new ModelFileException(
                folder.ReadFile("", "model_index.json").Path,
                $"'{component}' is {name}; it must be one of {string.Join(", ", Classes.Keys)}");
        }

        return Load(file, folder.Components.GetValueOrDefault(component)?.ClassName);
    }

    /// <summary>Makes a scheduler from the entries of a <c>scheduler_config.json</c>.</summary>
    /// <param name="config">A JSON object.</param>
    /// <param name="className">The diffusers class; null for the config's <c>_class_name</c>.</param>
    /// <exception cref="ModelFileException">The config names no known class or has an entry that is not supported.</exception>
    public static Scheduler FromConfig(JsonElement config, string? className = null) => Create("scheduler config", config, className);

    /// <summary>Makes a scheduler of another class from the entries of this one: the noise levels and the prediction type, which are the
    /// model's, stay (diffusers' <c>from_config(pipeline.scheduler.config)</c>).</summary>
    /// <typeparam name="TScheduler">The class.</typeparam>
    /// <param name="scheduler">The scheduler to take the entries from. Those that were not set leave the new class its defaults.</param>
    /// <exception cref="ModelFileException">The class does not support an entry.</exception>
    public static TScheduler From<TScheduler>(Scheduler scheduler)
        where TScheduler : Scheduler => (TScheduler)From(typeof(TScheduler).Name, scheduler);

    /// <summary>Makes a scheduler of another class from the entries of this one, as <see cref="From{TScheduler}"/> does.</summary>
    /// <param name="className">The class in diffusers.</param>
    /// <param name="scheduler">The scheduler to take the entries from.</param>
    /// <exception cref="ModelFileException">There is no such class, or it does not support an entry.</exception>
    public static Scheduler From(string className, Scheduler scheduler)
    {
        ArgumentNullException.ThrowIfNull(className);
        ArgumentNullException.ThrowIfNull(scheduler);
        return FromConfig(scheduler.ToConfig(), className);
    }

    /// <summary>Returns the entries of a <c>scheduler_config.json</c> that make this scheduler: those of the file that it was made from, or
    /// those that differ from the class's defaults.</summary>
    public JsonElement ToConfig()
    {
        var json = (JsonObject?)entries?.DeepClone() ?? ComponentConfig.WithoutDefaults(Config);
        json["_class_name"] = GetType().Name;
        return JsonSerializer.SerializeToElement(json);
    }

    /// <summary>Plans a number of denoising steps.</summary>
    /// <param name="steps">At least 1.</param>
    public SchedulePlan CreatePlan(int steps) => CreatePlan(new ScheduleOptions { Steps = steps });

    /// <summary>Plans a denoising.</summary>
    /// <param name="options">The number of steps, or custom timesteps or sigmas if the scheduler supports them.</param>
    /// <exception cref="ArgumentException">The options contradict each other, or the scheduler does not take one of them.</exception>
    public SchedulePlan CreatePlan(ScheduleOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        if ((options.Steps ?? options.Timesteps?.Count ?? options.Sigmas?.Count) is not > 0)
        {
            throw new ArgumentException(
                "A plan needs a number of steps of at least 1, or timesteps or sigmas that are not empty.", nameof(options));
        }

        if (options is { Steps: { } steps, Timesteps.Count: var count } && count != steps)
        {
            throw new ArgumentException($"{steps} steps and {count} timesteps are given; leave one of them out.", nameof(options));
        }

        Reject(options.Mu is not null && !TakesMu, "mu", "it has no dynamic shifting (use_dynamic_shifting)");
        Reject(options.Timesteps is not null && !TakesTimesteps, "timesteps", "its timesteps follow from its config");
        Reject(options.Sigmas is not null && !TakesSigmas, "sigmas", "its sigmas follow from its config");
        return Plan(options);
    }

    /// <summary>Returns the amount of dynamic shifting for an image, or null where the scheduler takes none.</summary>
    /// <param name="imageTokens">The number of image tokens.</param>
    internal virtual double? MuOf(int imageTokens) => null;

    private protected virtual bool TakesTimesteps => false;

    private protected virtual bool TakesSigmas => false;

    private protected virtual bool TakesMu => false;

    private protected abstract SchedulePlan Plan(ScheduleOptions options);

    internal abstract SchedulerRun Start(SolverStart start);

    private void Reject(bool given, string option, string reason)
    {
        if (given)
        {
            throw new ArgumentException($"This {GetType().Name} takes no {option}: {reason}.", option);
        }
    }

    private static Scheduler Create(string source, JsonElement json, string? className)
    {
        className ??= json.TryGetProperty("_class_name", out var name) ? name.ToString() : null;
        if (className is null || !Classes.TryGetValue(className, out var create))
        {
            throw new ModelFileException(source, (className is null ? "'_class_name' is missing" : $"'_class_name' is {className}")
                + $"; it must be one of {string.Join(", ", Classes.Keys)}");
        }

        try
        {
            var scheduler = create(source, json);
            scheduler.entries = JsonObject.Create(json.Clone());
            return scheduler;
        }
        catch (Exception exception) when (exception is ArgumentException or ArithmeticException)
        {
            var message = exception is ArgumentException { ParamName: { } parameter }
                ? exception.Message.Replace($" (Parameter '{parameter}')", "", StringComparison.Ordinal)
                : exception.Message;
            throw new ModelFileException(source, message, exception);
        }
    }

    private static Func<string, JsonElement, Scheduler> Class<T>(Func<T, Scheduler> create)
        where T : SchedulerConfig => (source, json) => create(ComponentConfig.Read<T>(source, JsonObject.Create(json)!));
}
