using System.Text.Json;
using System.Text.Json.Nodes;
using StorySync.Diffusion.Schedulers;

namespace StorySync.Pipelines;

/// <summary>Represents how a model that was distilled to few steps is run: its scheduler, steps and guidance. The distillation itself is
/// the model's weights or a LoRA on them.</summary>
/// <remarks>A request, and a pipeline, name a preset; what a request says itself comes first. Change one with <c>with</c>:
/// <c>SamplingPreset.Lightning with { Steps = 8 }</c>.</remarks>
/// <example>
/// <code>
/// pipeline.Loras.Load("sdxl_lightning_4step_lora.safetensors");
/// using var result = pipeline.Generate(new GenerationRequest { Prompts = ["a red fox"], Preset = SamplingPreset.Lightning });
/// </code>
/// </example>
public sealed record SamplingPreset
{
    /// <summary>Gets the preset of SDXL Turbo (Sauer et al., arXiv 2311.17042): <c>EulerAncestralDiscreteScheduler</c>, trailing
    /// timesteps, 1 step (made for 1 to 4), no guidance.</summary>
    public static SamplingPreset Turbo { get; } = new()
    {
        Name = "turbo", Scheduler = nameof(EulerAncestralDiscreteScheduler), TimestepSpacing = "trailing", Steps = 1,
    };

    /// <summary>Gets the preset of SDXL-Lightning (Lin et al., arXiv 2402.13929): <c>EulerDiscreteScheduler</c>, trailing timesteps, 4
    /// steps (2, 4 or 8, as the weights were made for), no guidance.</summary>
    public static SamplingPreset Lightning { get; } = new()
    {
        Name = "lightning", Scheduler = nameof(EulerDiscreteScheduler), TimestepSpacing = "trailing", Steps = 4,
    };

    /// <summary>Gets the preset of Hyper-SD for SDXL (Ren et al., arXiv 2404.13686): <c>DDIMScheduler</c>, trailing timesteps, 8 steps (2,
    /// 4 or 8, as the weights were made for), no guidance.</summary>
    public static SamplingPreset Hyper { get; } = new()
    {
        Name = "hyper", Scheduler = nameof(DDIMScheduler), TimestepSpacing = "trailing", Steps = 8,
    };

    /// <summary>Gets the preset of latent consistency models and LCM-LoRA (Luo et al., arXiv 2311.05556): <c>LCMScheduler</c>, 4 steps (2
    /// to 8), no guidance.</summary>
    public static SamplingPreset Lcm { get; } = new() { Name = "lcm", Scheduler = nameof(LCMScheduler), Steps = 4, GuidanceScale = 1 };

    /// <summary>Gets the preset of trajectory consistency distillation (Zheng et al., arXiv 2402.19159): <c>TCDScheduler</c> with an eta of
    /// 0.3, 4 steps, no guidance.</summary>
    public static SamplingPreset Tcd { get; } = new() { Name = "tcd", Scheduler = nameof(TCDScheduler), Steps = 4, Eta = 0.3 };

    /// <summary>Gets all presets.</summary>
    public static IReadOnlyList<SamplingPreset> All { get; } = [Turbo, Lightning, Hyper, Lcm, Tcd];

    /// <summary>Gets the name.</summary>
    public required string Name { get; init; }

    /// <summary>Gets the scheduler's class in diffusers. It takes the noise levels of the model's own.</summary>
    public required string Scheduler { get; init; }

    /// <summary>Gets how the steps are spread over the training timesteps, <c>trailing</c> for example; null (default) for as the model's
    /// own scheduler does.</summary>
    public string? TimestepSpacing { get; init; }

    /// <summary>Gets the number of steps of a request that does not name one, 1 … <see cref="GenerationRequest.MaxSteps"/>.</summary>
    public required int Steps { get; init; }

    /// <summary>Gets the guidance scale of a request that does not name one; 0 (default) for none.</summary>
    public double GuidanceScale { get; init; }

    /// <summary>Gets how much noise the steps inject, 0 (default) … 1, where a request's <see cref="GenerationRequest.Eta"/> is
    /// 0.</summary>
    public double Eta { get; init; }

    /// <summary>Returns the preset of a name.</summary>
    /// <param name="name">One of those of <see cref="All"/>, in any case.</param>
    /// <exception cref="ArgumentException">There is none of this name.</exception>
    public static SamplingPreset Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return All.FirstOrDefault(preset => preset.Name.Equals(name, StringComparison.OrdinalIgnoreCase))
            ?? throw new ArgumentException($"The preset is '{name}'; it must be one of {string.Join(", ", All.Select(p => p.Name))}.");
    }

    /// <inheritdoc/>
    public override string ToString() => Name;

    /// <summary>A request with the preset's settings where it has none of its own.</summary>
    /// <param name="request">The request.</param>
    /// <param name="own">The model's scheduler.</param>
    /// <param name="embedsGuidance">Whether the denoiser is told the guidance scale, of which the preset knows nothing.</param>
    internal GenerationRequest Over(GenerationRequest request, Scheduler own, bool embedsGuidance) => request with
    {
        Scheduler = request.Scheduler ?? On(own),
        Steps = request.Steps ?? Steps,
        GuidanceScale = request.GuidanceScale ?? (embedsGuidance ? null : GuidanceScale),
        Eta = request.Eta > 0 || request.Scheduler is not null ? request.Eta : Eta,
        Preset = null,
    };

    /// <exception cref="ArgumentException">A member is out of its range.</exception>
    internal void Check(string name)
    {
        var known = StorySync.Diffusion.Schedulers.Scheduler.ClassNames;
        RequestRules.Require(
            Scheduler is not null && known.Contains(Scheduler),
            $"{name}.Scheduler is '{Scheduler}'; it must be one of {string.Join(", ", known)}.");
        RequestRules.Require(
            TimestepSpacing is null or "linspace" or "leading" or "trailing",
            $"{name}.TimestepSpacing is '{TimestepSpacing}'; it must be linspace, leading or trailing.");
        RequestRules.Require(Steps is >= 1 and <= GenerationRequest.MaxSteps,
            $"{name}.Steps is {Steps}; it must be from 1 to {GenerationRequest.MaxSteps}.");
        RequestRules.Require(double.IsFinite(GuidanceScale), $"{name}.GuidanceScale is {GuidanceScale}; it must be a number.");
        RequestRules.Require(Eta is >= 0 and <= 1, $"{name}.Eta is {Eta}; it must be from 0 to 1.");
    }

    private Scheduler On(Scheduler own)
    {
        var entries = JsonObject.Create(own.ToConfig())!;
        if (TimestepSpacing is not null)
        {
            entries["timestep_spacing"] = TimestepSpacing;
        }

        return StorySync.Diffusion.Schedulers.Scheduler.FromConfig(JsonSerializer.SerializeToElement(entries), Scheduler);
    }
}
