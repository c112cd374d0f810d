using System.Globalization;
using StorySync.Diffusion.Flux;
using StorySync.Pipelines;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Samples.Evaluate;

/// <summary>The linear fit by which previews are painted: red, green and blue as a sum over the channels of the latents, by least squares
/// over images of the model's own.</summary>
/// <param name="Factors">For each channel what it adds to red, green and blue in [−1, 1].</param>
/// <param name="Bias">Red, green and blue where all channels are 0.</param>
/// <param name="Explained">The share of the colors' variance that the fit explains, at most 1.</param>
internal sealed record PreviewFit(double[][] Factors, double[] Bias, double Explained)
{
    /// <summary>Gets the entries of the model's <c>storysync.json</c>.</summary>
    public string Entries => $"\"latent_rgb_factors\": [{string.Join(", ", Factors.Select(Row))}],\n"
        + $"\"latent_rgb_factors_bias\": {Row(Bias)}";

    /// <summary>Makes an image of each prompt and fits its colors, averaged over the pixels of a latent, to its latents.</summary>
    public static PreviewFit Of(DiffusionPipeline pipeline, GenerationRequest request, IReadOnlyList<string> prompts, long seed,
        Action<int> made, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        List<Tensor> channels = [], colors = [];
        foreach (var (i, prompt) in prompts.Index())
        {
            using var result = pipeline.Generate(
                request with { Prompts = [prompt], Seed = seed + i }, cancellationToken: cancellationToken);
            var image = result.Images[0].ToTensor();
            var latents = Latents(pipeline, result, image);
            var side = image.shape[2] / latents.shape[2];
            channels.Add(Rows(latents));
            colors.Add(Rows(nn.functional.avg_pool2d(image, side)));
            made(i + 1);
        }

        return Of(cat(channels), cat(colors));
    }

    /// <param name="channels">(samples, channels).</param>
    /// <param name="colors">(samples, 3), in [−1, 1].</param>
    public static PreviewFit Of(Tensor channels, Tensor colors)
    {
        using var scope = NewDisposeScope();
        var known = cat([channels, ones_like(channels[.., ..1])], 1);
        var solution = linalg.lstsq(known, colors).Solution;
        var left = (colors - known.matmul(solution)).square().sum();
        var spread = (colors - colors.mean([0], keepdim: true)).square().sum();
        double[][] rows = [.. Enumerable.Range(0, (int)solution.shape[0]).Select(i => solution[i].data<double>().ToArray())];
        return new PreviewFit(rows[..^1], rows[^1], 1 - (left / spread).item<double>());
    }

    private static Tensor Latents(DiffusionPipeline pipeline, GenerationResult result, Tensor image) => pipeline is FluxPipeline flux
        ? FluxLatents.Unpack(
            result.Latents,
            FluxLatents.Grid(image.shape[2] / flux.Vae.SpatialFactor, image.shape[3] / flux.Vae.SpatialFactor))
        : result.Latents;

    private static Tensor Rows(Tensor planes) => planes.permute(0, 2, 3, 1).flatten(0, 2).to(float64).cpu();

    private static string Row(double[] values) =>
        $"[{string.Join(", ", values.Select(value => value.ToString("0.0000", CultureInfo.InvariantCulture)))}]";
}
