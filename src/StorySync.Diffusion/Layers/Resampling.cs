namespace StorySync.Diffusion.Layers;

/// <summary>What a block does to height and width.</summary>
internal enum Resampling
{
    None,
    Down,
    Up,
}
