using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Weights;

/// <summary>Types stand for devices: what is brought over has another one.</summary>
public class BlockStreamingTests
{
    private sealed class Model : nn.Module
    {
        public readonly TorchSharp.Modules.Linear first = nn.Linear(3, 2);
        public readonly TorchSharp.Modules.Linear second = nn.Linear(2, 2);

        public Model()
            : base(nameof(Model)) => RegisterComponents();
    }

    [Fact]
    public void A_block_is_there_while_somebody_uses_it_and_the_rest_for_good()
    {
        using var model = new Model();
        var before = model.first.bias!.detach().clone();
        var streaming = new BlockStreaming(model, [model.first], CPU, float64);
        Assert.Equal((float32, float64), (model.first.bias.dtype, model.second.bias!.dtype));

        var one = streaming.Load(model.first);
        var other = streaming.Load(model.first);
        Assert.Equal(float64, model.first.bias.dtype);
        Assert.True(model.first.bias.to(float32).Equals(before));
        one.Dispose();
        Assert.Equal(float64, model.first.bias.dtype);
        other.Dispose();
        Assert.Equal(float32, model.first.bias.dtype);
        Assert.True(model.first.bias.Equals(before));

        using (streaming.Load(model.first))
        {
            Assert.Equal(float64, model.first.bias.dtype);
        }

        Assert.Equal(float32, model.first.bias.dtype);
        before.Dispose();
    }

    [Fact]
    public void Parts_are_held_only_where_they_come_and_go()
    {
        using var model = new Model();
        using var stays = new ModelOffload(false, CPU, model.first).Acquire(model.first);
        var offload = new ModelOffload(true, CPU, model.first);
        using var held = offload.Acquire(model.first);
        using var other = offload.Acquire(model.second);
        Assert.NotEqual(stays.GetType(), held.GetType());
        Assert.Equal(stays.GetType(), other.GetType());
    }
}
