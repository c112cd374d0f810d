using StorySync.Attention;
using StorySync.Diffusion.Flux;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Flux;

public sealed class FluxLatentsTests
{
    public static TheoryData<string> Cases => FluxParityTests.Transformers;

    [Theory]
    [MemberData(nameof(Cases))]
    public void Packing_unpacking_and_ids_are_diffusers(string name)
    {
        using var scope = NewDisposeScope();
        using var comparison = new Comparison(ReferenceData.Case(name));
        var latents = comparison.Input("latents");
        var grid = FluxLatents.Grid(latents.shape[2], latents.shape[3]);
        var packed = FluxLatents.Pack(latents);
        AssertSame(comparison.Input("hidden_states"), packed);
        AssertSame(latents, FluxLatents.Unpack(packed, grid));
        AssertSame(comparison.Input("img_ids"), FluxLatents.ImageIds(grid));
        var text = comparison.Input("txt_ids");
        AssertSame(text, FluxLatents.TextIds(text.shape[0]));
    }

    [Fact]
    public void What_cannot_be_packed_or_unpacked_is_refused()
    {
        using var scope = NewDisposeScope();
        Assert.Contains("(1, 16, 7, 8)", Assert.Throws<ArgumentException>(() => FluxLatents.Pack(zeros(1, 16, 7, 8))).Message,
            StringComparison.Ordinal);
        Assert.Contains("2×3", Assert.Throws<ArgumentException>(() => FluxLatents.Unpack(zeros(1, 4, 64), new TokenGrid(2, 3))).Message,
            StringComparison.Ordinal);
    }

    private static void AssertSame(Tensor expected, Tensor actual)
    {
        Assert.Equal(expected.shape, actual.shape);
        Assert.Equal(expected.dtype, actual.dtype);
        Assert.Equal(expected.data<float>().ToArray(), actual.contiguous().data<float>().ToArray());
    }
}
