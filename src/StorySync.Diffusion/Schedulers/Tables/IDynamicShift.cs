namespace StorySync.Diffusion.Schedulers.Tables;

/// <summary>The entries of a config that say how the time shift depends on the size of an image.</summary>
internal interface IDynamicShift
{
    double BaseShift { get; }

    double MaxShift { get; }

    int BaseImageSeqLen { get; }

    int MaxImageSeqLen { get; }
}
