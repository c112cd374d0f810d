using System.Text.Json;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Schedulers;

/// <summary>The reference's stand-in for a model: tanh(a · x + b · t / 1000).</summary>
internal static class FakeDenoiser
{
    public static Func<Tensor, float, Tensor> Of(JsonElement parameters)
    {
        var fake = parameters.GetProperty("fake_denoiser");
        return Of(fake.GetProperty("a").GetDouble(), fake.GetProperty("b").GetDouble());
    }

    public static Func<Tensor, float, Tensor> Of(double a, double b) => (x, t) => (a * x + (float)b * t / 1000).tanh();
}
