namespace StorySync.Kernels;

/// <summary>The tokens of one head.</summary>
internal readonly unsafe record struct HeadRows(nint Address, nint Step)
{
    public float* Start => (float*)Address;
}
