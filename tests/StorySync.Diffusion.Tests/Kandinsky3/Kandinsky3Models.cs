using StorySync.Attention;
using StorySync.Diffusion.Denoising;
using StorySync.Diffusion.Kandinsky3;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Kandinsky3;

/// <summary>The reference's Kandinsky 3 UNet, and what its cases feed it.</summary>
internal static class Kandinsky3Models
{
    public const string Group = "kandinsky3-unet";

    public static ReferenceCase AnyCase => ReferenceData.Cases.Last(c => c.Group == Group);

    public static Kandinsky3UNet Load(string folder) => Kandinsky3UNet.Load(ModelFolder.Open(folder), component: "");

    public static Kandinsky3Inputs Inputs(Comparison comparison) =>
        new(comparison.Input("sample"), comparison.Input("timestep"), comparison.Input("encoder_hidden_states"))
        {
            EncoderAttentionMask = comparison.OptionalInput("encoder_attention_mask"),
        };

    /// <summary>The model's answer, as bytes.</summary>
    public static byte[] Run(Kandinsky3UNet model, Kandinsky3Inputs inputs, DenoisingContext? context = null)
    {
        using var inference = inference_mode();
        using var output = model.call(inputs, context ?? new DenoisingContext());
        return output.bytes.ToArray();
    }
}
