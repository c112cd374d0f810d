using StorySync.Attention;

namespace StorySync.Diffusion.Layers;

/// <summary>A module that calls an attention processor.</summary>
internal interface IAttentionLayer
{
    /// <summary>What the processor is told about the module.</summary>
    AttentionLayer Layer { get; set; }

    /// <summary>Attends, unless the run brings its own processor.</summary>
    IAttentionProcessor Processor { get; set; }
}
