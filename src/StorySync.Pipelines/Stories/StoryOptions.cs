using System.Text.Json.Serialization;
using StorySync.Attention;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Specifies how a story is made. Plain data: it round-trips through System.Text.Json.</summary>
public sealed record StoryOptions
{
    /// <summary>The largest number of takes of a scene, 1000.</summary>
    public const int MaxCandidates = 1000;

    /// <summary>Gets the settings that each scene is generated with: size, steps, guidance, seed, scheduler, and, by a
    /// <see cref="FluxRequest"/> or <see cref="StableDiffusionXLRequest"/>, what only that model has; null for the defaults. Its prompts
    /// and seeds are the story's, so <see cref="GenerationRequest.Prompts"/> and <see cref="GenerationRequest.Seeds"/> stay empty; lists
    /// have one entry for all scenes or one each. Its attention processor attends where the techniques do not.</summary>
    public GenerationRequest? Request { get; init; }

    /// <summary>Gets a value indicating whether all scenes without a seed of their own begin from the same noise: the images then resemble
    /// each other in their layout too. Default false.</summary>
    public bool SameNoise { get; init; }

    /// <summary>Gets the number of anchors, from 1 to the number of scenes: the first scenes. They read each other; every other scene reads
    /// the anchors and no further scene, so that it depends on them, its prompt, its subjects and its seed alone, and can be drawn again,
    /// or later, as it is. Null (default): all scenes read each other.</summary>
    public int? Anchors { get; init; }

    /// <summary>Gets what the bank of the anchors keeps. <see cref="StoryBankForm.Keys"/> is for many scenes: they take about the time of
    /// scenes that read nothing, and the bank takes many times the bytes, in the folder of temporary files until it is saved;
    /// <see cref="MemoryPlan.BankBytes"/> tells how many. Both give the same scenes, on the CPU in float32 to the bit where there are
    /// two anchors or more. Null (default): <see cref="StoryBankForm.Trajectory"/>.</summary>
    public StoryBankForm? BankForm { get; init; }

    /// <summary>Gets the type in which a bank of <see cref="StoryBankForm.Keys"/> has them: Float32, BFloat16 or Float16. The two take half
    /// of the bytes and round what scenes read of the anchors. Null (default): the type that the model computes in.</summary>
    [JsonConverter(typeof(JsonStringEnumConverter<ScalarType>))]
    public ScalarType? BankKeysDtype { get; init; }

    /// <summary>Gets how many scenes that read anchors are drawn at a time, at least 1. On the CPU in float32 it changes no bit of a scene;
    /// on a device libtorch chooses kernels by the size of a batch, so that last bits are those of the batch size. Null (default): up to 8,
    /// as many as <see cref="DiffusionPipeline.PlanMemory(Story, StoryOptions, PipelineOptions)"/> has room for.</summary>
    public int? BatchSize { get; init; }

    /// <summary>Gets how many takes there are of each scene that reads anchors, from 1 to <see cref="MaxCandidates"/>: the one with the
    /// highest
    /// <see cref="SceneResult.Consistency"/> is kept, the first of equal ones. Take k, from 0, has the scene's seed plus 1000 k, so that a
    /// take is the scene with that seed. Default 1.</summary>
    public int Candidates { get; init; } = 1;

    /// <summary>Gets the consistency with which a scene's takes come to an end: only scenes whose best take is below get one more, up to
    /// <see cref="Candidates"/>. Null (default): every scene gets all its takes.</summary>
    public double? RetryBelow { get; init; }

    /// <summary>Gets what judges a take in place of the library: it returns the take's <see cref="SceneResult.Consistency"/>, higher for
    /// better ones, by its argument alone. Null (default) for the library. It is not part of the options' JSON.</summary>
    [JsonIgnore]
    public Func<SceneResult, double>? Scorer { get; init; }

    /// <summary>Gets the techniques, their strengths, layers and steps. What is null, in whole or in part, is as it suits the model:
    /// <see cref="DiffusionPipeline.DefaultTechniques"/>.</summary>
    [JsonConverter(typeof(CheckedJsonConverter<StoryAttentionOptions>))]
    public StoryAttentionOptions? Techniques { get; init; }
}
