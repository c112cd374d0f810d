using System.Text.Json;
using StorySync.Samples;
using StorySync.Samples.Evaluate;
using static TorchSharp.torch;

namespace StorySync.Evaluate.Tests;

public class PreviewFitTests
{
    [Fact]
    public void Colors_that_are_linear_in_the_latents_are_found_again()
    {
        using var scope = NewDisposeScope();
        using var random = new Generator(3, CPU);
        var channels = randn([50, 4], dtype: float64, generator: random);
        double[][] factors = [[0.3, -0.2, 0.1], [0, 0.5, -0.4], [-0.1, 0.2, 0.3], [0.25, 0, -0.5]];
        double[] bias = [0.1, -0.3, 0.2];
        var colors = channels.matmul(tensor(factors.SelectMany(row => row).ToArray(), [4, 3])) + tensor(bias);

        var fit = PreviewFit.Of(channels, colors);

        Assert.All(
            factors.Append(bias).SelectMany(row => row).Zip(fit.Factors.Append(fit.Bias).SelectMany(row => row)),
            pair => Assert.Equal(pair.First, pair.Second, 9));
        Assert.Equal(1, fit.Explained, 9);

        // Of what has nothing to do with the latents a fit explains little.
        Assert.InRange(PreviewFit.Of(channels, randn([50, 3], dtype: float64, generator: random)).Explained, 0, 0.4);
    }

    [Fact]
    public async Task The_command_prints_entries_of_a_settings_file()
    {
        using var text = new StringWriter();
        using var errors = new StringWriter();
        var code = await CommandLine.InvokeAsync(
            EvaluateCommand.Create(), ["preview-fit", "--images", "2", "--steps", "2", "--size", "64"], text, errors,
            TestContext.Current.CancellationToken);

        Assert.True(code == 0, errors.ToString());
        using var entries = JsonDocument.Parse($"{{ {text} }}");
        Assert.Equal(
            [3, 3, 3, 3], entries.RootElement.GetProperty("latent_rgb_factors").EnumerateArray().Select(row => row.GetArrayLength()));
        Assert.Equal(3, entries.RootElement.GetProperty("latent_rgb_factors_bias").GetArrayLength());
    }
}
