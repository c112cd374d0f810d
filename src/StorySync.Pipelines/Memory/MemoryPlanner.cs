using System.Globalization;
using StorySync.Diffusion.Denoising;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>What a memory plan is made for; advice is the same with one thing changed.</summary>
/// <param name="Options">How the model is loaded.</param>
/// <param name="Images">Images that are made in one batch.</param>
/// <param name="Halves">2 with guidance, else 1.</param>
/// <param name="Height">Height in pixels.</param>
/// <param name="Width">Width in pixels.</param>
/// <param name="HasBase">Whether an unmodified branch runs along.</param>
/// <param name="Shares">Whether the images share attention.</param>
/// <param name="Caches">Whether the denoiser's deeper blocks are cached.</param>
/// <param name="TextChunks">The sequences that a prompt is encoded in.</param>
internal sealed record MemoryQuery(PipelineOptions Options, int Images, int Halves, int Height, int Width, bool HasBase, bool Shares,
    bool Caches, int TextChunks)
{
    /// <summary>Gets what the denoiser gets in one call: with an unmodified branch the guidance halves can come one after the
    /// other.</summary>
    public DenoiserBatch Batch => new(
        HasBase && Denoising.SplitsHalves(Images, Height, Width, Caches) ? 2L * Images : StepRows, Height, Width, HasBase, Shares,
        OnHost && Options.Dtype == ScalarType.Float32);

    /// <summary>Gets a value indicating whether the CPU computes.</summary>
    public bool OnHost => Options.Device == "cpu" || (Options.Device == "auto" && !cuda.is_available());

    /// <summary>Gets the rows of a step, in one call or more.</summary>
    public long StepRows => (long)Images * Halves * (HasBase ? 2 : 1);
}

/// <summary>Makes memory plans.</summary>
internal static class MemoryPlanner
{
    private const int FewestScenes = 2;
    private const double WorthTheChange = 0.02;

    public static MemoryPlan Plan(DiffusionPipeline pipeline, MemoryQuery asked)
    {
        var plan = Measure(pipeline, asked);
        var advice = Changes(pipeline, asked)
            .Select(change => (change.Text, Peak: Measure(pipeline, change.Case).PeakBytes))
            .Where(change => plan.PeakBytes - change.Peak > WorthTheChange * plan.PeakBytes)
            .Select(change => new MemoryAdvice(change.Text, change.Peak, plan.PeakBytes - change.Peak));
        return plan with { Advice = [.. advice] };
    }

    /// <summary>Returns the peak alone.</summary>
    public static long PeakBytes(DiffusionPipeline pipeline, MemoryQuery asked) => Measure(pipeline, asked).PeakBytes;

    private static MemoryPlan Measure(DiffusionPipeline pipeline, MemoryQuery asked)
    {
        var options = asked.Options;
        var onHost = asked.OnHost;
        var streams = options.StreamBlocks && pipeline.StreamsBlocks;
        var weights =
            pipeline.WeightParts.Select(part => Weight(part, asked, streams && part.Stage == GenerationStage.Denoising)).ToList();
        var mapped = pipeline.WeightParts
            .Select(part => onHost && options.Dtype == ScalarType.Float32 ? part.MappedBlockBytes() : 0).ToList();
        StageMemory Stage(GenerationStage stage, ActivationPeak peak, ScalarType dtype)
        {
            var there = pipeline.WeightParts.Zip(weights, mapped).Where(p => onHost || !options.Offload || p.First.Stage == stage);
            var resting = there.Where(p => p.First.Stage != stage).Sum(p => Math.Min(p.Third, p.Second.Bytes));
            return new(stage, there.Sum(p => p.Second.Bytes) - resting, (long)(peak.Elements * dtype.ElementSize()), peak.Where);
        }

        var vae = pipeline.WeightParts.Single(part => part.Stage == GenerationStage.Decoding);
        var decoded = vae.DtypeFor(options.Dtype);
        var text = (double)pipeline.TextValues * asked.TextChunks * asked.Images * asked.Halves;
        var tile = options.TiledDecoding ? pipeline.TileSize : null;
        var denoising = pipeline.DenoiserPeak(asked.Batch);
        var cached = asked.Caches ? (double)asked.StepRows * pipeline.BlockCacheValues(asked.Height, asked.Width) : 0;
        return new MemoryPlan
        {
            Device = onHost ? "cpu" : options.Device == "auto" ? "cuda" : options.Device,
            Weights = weights,
            Stages =
            [
                Stage(GenerationStage.Encoding, pipeline.TextPeak((long)asked.Images * asked.Halves * asked.TextChunks), options.Dtype),
                Stage(GenerationStage.Denoising, denoising with { Elements = denoising.Elements + text + cached }, options.Dtype),
                Stage(
                    GenerationStage.Decoding,
                    DecoderPeaks.Largest(
                        pipeline.DecoderConfig, asked.Images, asked.Height, asked.Width, tile, enlarges: !onHost
                            || decoded != ScalarType.Float32),
                    decoded),
            ],
            HostBytes = onHost ? 0 : pipeline.WeightParts
                .Where(part => options.Offload || (streams && part.Stage == GenerationStage.Denoising))
                .Sum(part => part.Bytes(part.DtypeFor(options.Dtype))),
            Advice = [],
        };
    }

    private static WeightMemory Weight(ModelPart part, MemoryQuery asked, bool streamed)
    {
        var dtype = part.DtypeFor(asked.Options.Dtype);
        var rounded = asked.Options.Quantization == WeightQuantization.Int8 && part.Stage != GenerationStage.Decoding;
        return new(
            part.Name, streamed ? part.StreamedBytes(dtype) : asked.OnHost ? part.HostBytes(dtype, rounded) : part.Bytes(dtype));
    }

    /// <summary>What could be changed, first what leaves the images as they are, last what changes them most.</summary>
    private static IEnumerable<(string Text, MemoryQuery Case)> Changes(DiffusionPipeline pipeline, MemoryQuery asked)
    {
        var options = asked.Options;
        if (!options.Offload && !asked.OnHost)
        {
            yield return ("PipelineOptions.Offload = true", With(options with { Offload = true }));
        }

        if (!options.StreamBlocks && pipeline.StreamsBlocks)
        {
            yield return ("PipelineOptions.StreamBlocks = true", With(options with { StreamBlocks = true }));
        }

        if (!options.TiledDecoding && pipeline.TileSize is not null)
        {
            yield return ("PipelineOptions.TiledDecoding = true", With(options with { TiledDecoding = true }));
        }

        if (options.Dtype == ScalarType.Float32)
        {
            yield return ("PipelineOptions.Dtype = BFloat16", With(options with { Dtype = ScalarType.BFloat16 }));
        }

        if (options.Quantization == WeightQuantization.None && options.Dtype == ScalarType.Float32 && asked.OnHost)
        {
            yield return ("PipelineOptions.Quantization = Int8", With(options with { Quantization = WeightQuantization.Int8 }));
        }

        if (asked.Caches)
        {
            yield return ("BlockCacheThreshold = 0", asked with { Caches = false });
        }

        if (asked.HasBase)
        {
            yield return ("StoryOptions.Techniques.Layout.Until = 0", asked with { HasBase = false });
        }

        var multiple = pipeline.SizeMultiple;
        var (height, width) = (Half(asked.Height), Half(asked.Width));
        if (height < asked.Height || width < asked.Width)
        {
            yield return (string.Create(CultureInfo.InvariantCulture, $"Height = {height}, Width = {width}"),
                asked with { Height = height, Width = width });
        }

        var fewer = Math.Max((asked.Images + 1) / 2, FewestScenes);
        if (fewer < asked.Images)
        {
            yield return (string.Create(CultureInfo.InvariantCulture, $"{fewer} images in one batch instead of {asked.Images}"),
                asked with { Images = fewer });
        }

        MemoryQuery With(PipelineOptions changed) => asked with { Options = changed };

        int Half(int side) => Math.Max(side / 2 / multiple, 1) * multiple;
    }
}
