using StorySync.TestSupport;

namespace StorySync.Diffusion.Tests;

/// <summary>No case of the reference goes by unnoticed: every group, and every kind of attention layer and pipeline, has tests that
/// take it up.</summary>
public class KnownCasesTests
{
    private static readonly HashSet<string> Groups =
        ["text", "attention", "sdxl-unet", "kandinsky3-unet", "flux-transformer", "vae", "clip", "scheduler", "pipeline", "lora"];

    private static readonly string[] AttentionLayers =
        ["attention-clip-", "attention-t5-", "attention-sdxl-", "attention-kandinsky3-", "attention-flux-", "attention-vae-", "attention-movq-"];

    private static readonly string[] Pipelines = ["diffusers.StableDiffusionXL", "diffusers.Kandinsky3", "diffusers.Flux"];

    [Fact]
    public void Every_case_of_the_reference_is_of_a_kind_that_the_tests_know()
    {
        ReferenceData.RequireRoot();
        Assert.All(ReferenceData.Cases, c => Assert.Contains(c.Group, Groups));
        Assert.All(ReferenceData.Cases.Where(c => c.Group == "attention"), c => Assert.Contains(AttentionLayers, kind => c.Name.StartsWith(kind, StringComparison.Ordinal)));
        Assert.All(ReferenceData.Cases.Where(c => c.Group == "pipeline"), c => Assert.Contains(Pipelines, kind => c.Call.StartsWith(kind, StringComparison.Ordinal)));
    }
}
