using System.Globalization;
using System.Text.Json;
using StorySync.Attention;
using StorySync.Diffusion.Schedulers;

namespace StorySync.Pipelines;

/// <summary>What an image was generated with, in the form that tools for diffusion models read: prompt, negative prompt, then one line of
/// pairs.</summary>
/// <param name="pipeline">The model.</param>
/// <param name="request">The request of all images.</param>
internal sealed class ParameterText(DiffusionPipeline pipeline, GenerationRequest request)
{
    public required int Steps { get; init; }

    public required Scheduler Scheduler { get; init; }

    /// <summary>Gets what the images have in common as scenes of a story; null for none.</summary>
    public StoryTraits? Story { get; init; }

    /// <param name="index">The image, counted from the first of the request.</param>
    /// <param name="seed">Its seed.</param>
    /// <param name="image">The image.</param>
    public string Of(int index, long seed, RgbImage image)
    {
        var prompt = index / request.ImagesPerPrompt;
        var negative = request.NegativePrompts switch
        {
            null or [] or [""] => null,
            [var one] => one,
            var each => each[prompt],
        };
        var loras = pipeline.Loras.Enabled ? pipeline.Loras.Scales : new Dictionary<string, double>();
        (string Key, object? Value)[] pairs =
        [
            ("Steps", Steps),
            ("Sampler", Scheduler.GetType().Name),
            ("CFG scale", pipeline.GuidanceScaleOrDefault(request)),
            ("Prompt syntax", request is StableDiffusionXLRequest { PromptSyntax: not PromptSyntax.Plain and var syntax } ? syntax : null),
            ("Guidance end", request.GuidanceEnd < 1 ? request.GuidanceEnd : null),
            ("Block cache", request.BlockCacheThreshold > 0 ? request.BlockCacheThreshold : null),
            ("Denoising strength", request.Images is null ? null : pipeline.StrengthOf(request)),
            ("Seed", seed),
            ("Size", $"{image.Width}x{image.Height}"),
            ("Model", Quoted(pipeline.ModelName)),
            ("LoRAs", loras.Count == 0 ? null : Quoted(string.Join("; ", loras.OrderBy(pair => pair.Key, StringComparer.Ordinal)
                .Select(pair => string.Create(CultureInfo.InvariantCulture, $"{pair.Key} {pair.Value}"))))),
            ("Dtype", pipeline.Options.Dtype.ToString().ToLowerInvariant()),
            ("Device", pipeline.Device.ToString()),
            .. Story?.Pairs ?? [],
            ("Version", ImageProvenance.Software),
        ];
        return $"{request.Prompts[prompt]}{(negative is null ? "" : $"\nNegative prompt: {negative}")}\n"
            + string.Join(", ",
                pairs.Where(p => p.Value is not null).Select(p => string.Create(CultureInfo.InvariantCulture, $"{p.Key}: {p.Value}")));
    }

    /// <summary>As a JSON text where a comma, colon or quote would be taken for the list's own.</summary>
    public static string Quoted(string text) => text.AsSpan().IndexOfAny(",:\"\n;") < 0 ? text : JsonSerializer.Serialize(text);
}

/// <summary>What the scenes of a story have in common.</summary>
/// <param name="Subjects">The subjects' phrases.</param>
/// <param name="Techniques">The techniques, every member set.</param>
/// <param name="Anchors">The number of anchors; null where all scenes read each other.</param>
internal sealed record StoryTraits(IReadOnlyList<Subject> Subjects, StoryAttentionOptions Techniques, int? Anchors)
{
    public IEnumerable<(string Key, object? Value)> Pairs =>
    [
        ("Subjects", Subjects.Count == 0 ? null : ParameterText.Quoted(string.Join("; ", Subjects))),
        ("Sharing", Techniques.Sharing!.Strength),
        ("Sharing dropout", Techniques.Sharing.Dropout),
        ("Sharing queries", Techniques.Sharing.SubjectQueriesOnly == true ? "subject" : "all"),
        ("Harmonization", Techniques.Harmonization!.Alpha),
        ("Harmonization threshold", Techniques.Harmonization.Threshold),
        ("Layout", Techniques.Layout!.Start),
        ("Layout until", Techniques.Layout.Until),
        ("Anchors", Anchors),
    ];
}
