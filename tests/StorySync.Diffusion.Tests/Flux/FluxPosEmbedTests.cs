using StorySync.Attention;
using StorySync.Diffusion.Flux;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Flux;

public sealed class FluxPosEmbedTests
{
    [Theory]
    [InlineData(new[] { 4, 6, 6 })]
    [InlineData(new[] { 2, 8 })]
    public void A_pair_is_turned_by_its_axis_position_times_its_frequency(int[] axes)
    {
        using var scope = NewDisposeScope();
        const int Tokens = 5;
        var ids = Seeded.Normal(Tokens, axes.Length) * 30;
        using var embedding = new FluxPosEmbed(10000, axes);
        var (cos, sin) = embedding.call(ids);
        var x = Seeded.Normal(2, 3, Tokens, axes.Sum());
        var turned = new RotaryEmbedding(cos, sin).Apply(x);

        for (var token = 0; token < Tokens; token++)
        {
            var channel = 0;
            for (var axis = 0; axis < axes.Length; axis++)
            {
                for (var pair = 0; pair < axes[axis] / 2; pair++, channel += 2)
                {
                    var angle = ids[token, axis].item<float>() / Math.Pow(10000, 2.0 * pair / axes[axis]);
                    var (a, b) = (x[1, 2, token, channel].item<float>(), x[1, 2, token, channel + 1].item<float>());
                    Assert.Equal((a * Math.Cos(angle)) - (b * Math.Sin(angle)), turned[1, 2, token, channel].item<float>(), 1e-5);
                    Assert.Equal((a * Math.Sin(angle)) + (b * Math.Cos(angle)), turned[1, 2, token, channel + 1].item<float>(), 1e-5);
                }
            }
        }
    }

    [Fact]
    public void A_rotation_keeps_the_type_and_takes_views()
    {
        using var scope = NewDisposeScope();
        using var embedding = new FluxPosEmbed(10000, [4, 4]);
        var (cos, sin) = embedding.call(Seeded.Normal(3, 2));
        var rotary = new RotaryEmbedding(cos, sin);
        var x = Seeded.Normal(2, 3, 5, 8).to(bfloat16);
        var turned = rotary.Apply(x.transpose(1, 2));
        Assert.Equal(bfloat16, turned.dtype);
        TensorAssert.SameBits(turned, rotary.Apply(x.transpose(1, 2).contiguous()));
    }
}
