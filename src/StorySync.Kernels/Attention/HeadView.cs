using static TorchSharp.torch;

namespace StorySync.Kernels;

/// <summary>All heads of a tensor of (images, heads, tokens, width).</summary>
internal readonly unsafe struct HeadView(Tensor tensor, float* address)
{
    private readonly nint start = (nint)address;
    private readonly nint image = (nint)tensor.stride(0);
    private readonly nint head = (nint)tensor.stride(1);
    private readonly nint token = (nint)tensor.stride(2);

    /// <summary>Gets the tokens of a head, from one token on.</summary>
    public HeadRows At(int image, int head, int token = 0) =>
        new((nint)((float*)start + (image * this.image) + (head * this.head) + (token * this.token)), this.token);
}
