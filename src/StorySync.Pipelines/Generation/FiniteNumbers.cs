using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Looks whether a generation's numbers are finite: on the CPU after each step, elsewhere once at the end, so that no step waits
/// for the device.</summary>
/// <param name="device">The device on which the model runs.</param>
/// <param name="dtype">The type that it computes in.</param>
internal sealed class FiniteNumbers(Device device, ScalarType dtype) : IDisposable
{
    private readonly List<(DenoisingStep Step, Tensor Finite)> looks = [];

    /// <summary>Requires that encoded prompts are finite.</summary>
    /// <exception cref="NonFiniteException">They are not.</exception>
    public static void RequireText(PromptEmbeddings embeddings, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        if (!embeddings.Text.isfinite().all().item<bool>())
        {
            throw new NonFiniteException("The encoded prompts have infinite or NaN values: " + (dtype == ScalarType.Float16
                ? "the text encoder overflows in float16; load the model with Dtype = BFloat16 or Float32."
                : "a weight of the text encoder, or a LoRA on it, is damaged."));
        }
    }

    /// <summary>Requires that decoded images are finite.</summary>
    /// <exception cref="NonFiniteException">They are not.</exception>
    public static void RequireImages(Tensor images, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        if (!images.isfinite().all().item<bool>())
        {
            throw new NonFiniteException("The decoded images have infinite or NaN values: " + (dtype == ScalarType.Float16
                ? "the autoencoder overflows in float16; load the model with Dtype = BFloat16 or Float32, or with an autoencoder that is "
                    + "made "
                + "for float16."
                : "a weight of the autoencoder is damaged, or its scaling_factor does not fit it."));
        }
    }

    /// <summary>Looks at the latents of a step.</summary>
    /// <exception cref="NonFiniteException">On the CPU: they are not finite.</exception>
    public void Look(DenoisingStep step)
    {
        using var scope = NewDisposeScope();
        looks.Add((step, step.Latents.isfinite().all().DetachFromDisposeScope()));
        if (device.type == DeviceType.CPU)
        {
            Require();
        }
    }

    /// <summary>Requires that all latents that were checked are finite.</summary>
    /// <exception cref="NonFiniteException">They are not; the message names the first step that has others.</exception>
    public void Require()
    {
        if (looks.Count == 0)
        {
            return;
        }

        using var scope = NewDisposeScope();
        var finite = stack(looks.Select(look => look.Finite)).cpu().data<bool>().ToArray();
        var first = Array.IndexOf(finite, false);
        if (first >= 0)
        {
            var step = looks[first].Step;
            throw new NonFiniteException(
                $"After step {step.Index + 1} of {step.Count} the latents have infinite or NaN values: " + (dtype == ScalarType.Float16
                    ? "the denoiser overflows in float16; load the model with Dtype = BFloat16 or Float32."
                    : "a weight of the denoiser or a LoRA on it is damaged, the scheduler does not fit the model, or the guidance scale "
                        + "is far "
                    + "too large."));
        }

        Clear();
    }

    /// <inheritdoc/>
    public void Dispose() => Clear();

    private void Clear()
    {
        foreach (var (_, finite) in looks)
        {
            finite.Dispose();
        }

        looks.Clear();
    }
}
