using StorySync.Pipelines;
using TorchSharp;

namespace StorySync.Extensions;

/// <summary>Specifies a model of an application: which one it is, how it is loaded, and how many requests can wait for it. Members without
/// remarks are those of <see cref="PipelineOptions"/>.</summary>
public sealed class StorySyncModelOptions
{
    private static readonly Dictionary<string, torch.ScalarType> Dtypes = new(StringComparer.OrdinalIgnoreCase)
    {
        ["float32"] = torch.ScalarType.Float32,
        ["bfloat16"] = torch.ScalarType.BFloat16,
        ["float16"] = torch.ScalarType.Float16,
    };

    /// <summary>Gets or sets the model: a folder, <c>storybook</c> for the embedded one, or <c>organisation/name</c> in the Hugging Face
    /// cache.</summary>
    public string Model { get; set; } = "";

    /// <summary>Gets or sets a value indicating whether the application loads the model when it starts, and does not start if that fails.
    /// Default false: the model is loaded when it is first used.</summary>
    public bool LoadAtStart { get; set; }

    /// <summary>Gets or sets the number of requests that can wait for the device when one of this model arrives, at least 0. Default
    /// 100. A further one is refused with a <see cref="QueueFullException"/>.</summary>
    public int MaxWaiting { get; set; } = 100;

    /// <inheritdoc cref="PipelineOptions.Device"/>
    public string Device { get; set; } = new PipelineOptions().Device;

    /// <summary>Gets or sets the type to compute in: <c>float32</c> (default), <c>bfloat16</c> or <c>float16</c>.</summary>
    public string Dtype { get; set; } = "float32";

    /// <inheritdoc cref="PipelineOptions.Variant"/>
    public string? Variant { get; set; }

    /// <inheritdoc cref="PipelineOptions.TiledDecoding"/>
    public bool TiledDecoding { get; set; }

    /// <inheritdoc cref="PipelineOptions.StreamBlocks"/>
    public bool StreamBlocks { get; set; }

    /// <inheritdoc cref="PipelineOptions.Offload"/>
    public bool Offload { get; set; }

    /// <inheritdoc cref="PipelineOptions.MapWeights"/>
    public bool MapWeights { get; set; } = true;

    /// <inheritdoc cref="PipelineOptions.Quantization"/>
    public WeightQuantization Quantization { get; set; }

    /// <inheritdoc cref="PipelineOptions.Vae"/>
    public string? Vae { get; set; }

    /// <inheritdoc cref="PipelineOptions.TextEncoder"/>
    public string? TextEncoder { get; set; }

    /// <inheritdoc cref="PipelineOptions.TextEncoder2"/>
    public string? TextEncoder2 { get; set; }

    /// <inheritdoc cref="PipelineOptions.Config"/>
    public string? Config { get; set; }

    /// <summary>Gets or sets the scheduler by its class in diffusers; null (default) for the one in the model's folder.</summary>
    public string? Scheduler { get; set; }

    /// <inheritdoc cref="PipelineOptions.ChecksMemory"/>
    public bool ChecksMemory { get; set; } = true;

    /// <inheritdoc cref="PipelineOptions.MarksImages"/>
    public bool MarksImages { get; set; } = true;

    /// <summary>Returns the options as the pipeline takes them.</summary>
    /// <exception cref="ArgumentException">The type or the scheduler is none that there is.</exception>
    internal PipelineOptions ToPipelineOptions() => new()
    {
        Device = Device,
        Dtype = Dtypes.TryGetValue(Dtype, out var dtype)
            ? dtype
            : throw new ArgumentException($"Dtype is '{Dtype}'; expected {string.Join(", ", Dtypes.Keys)}."),
        Variant = Variant,
        TiledDecoding = TiledDecoding,
        StreamBlocks = StreamBlocks,
        Offload = Offload,
        MapWeights = MapWeights,
        Quantization = Quantization,
        Vae = Vae,
        TextEncoder = TextEncoder,
        TextEncoder2 = TextEncoder2,
        Config = Config,
        Scheduler = Scheduler is null ? null : new SchedulerChoice(Scheduler),
        ChecksMemory = ChecksMemory,
        MarksImages = MarksImages,
    };
}
