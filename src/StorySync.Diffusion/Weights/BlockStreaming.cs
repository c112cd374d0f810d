using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Weights;

/// <summary>Lets a model run on a device that has no room for all of it: the blocks' weights stay where they were bound (a mapped
/// file, say) and a block's are brought over while it runs. Several runs may share a block; it leaves with the last of them.</summary>
internal sealed class BlockStreaming
{
    private readonly Dictionary<nn.Module, Residence> residences;

    /// <summary>Moves all but the blocks to the device for good.</summary>
    /// <param name="model">The model.</param>
    /// <param name="blocks">Modules of <paramref name="model"/> that run one after the other.</param>
    /// <param name="device">Where to compute.</param>
    /// <param name="dtype">What to compute in; null leaves every parameter its own type.</param>
    public BlockStreaming(nn.Module model, IEnumerable<nn.Module> blocks, Device device, ScalarType? dtype)
    {
        nn.Module[] all = [.. blocks];
        residences = all.ToDictionary(
            block => block, block => new Residence([.. ModuleTensors.ParametersOf(block)], device, dtype, follows: all.Length > 1));
        var streamed = residences.Values.SelectMany(r => r.Parameters).Select(p => p.Tensor).ToHashSet(ReferenceEqualityComparer.Instance);
        foreach (var parameter in ModuleTensors.ParametersOf(model).Where(p => !streamed.Contains(p.Tensor)))
        {
            parameter.Replace(Move(parameter, device, dtype));
        }
    }

    /// <summary>Has a block's weights on the device until the result is disposed.</summary>
    public IDisposable Load(nn.Module block)
    {
        var residence = residences[block];
        residence.Enter();
        return residence;
    }

    private static Tensor Move(ModuleTensor parameter, Device device, ScalarType? dtype)
    {
        using var scope = NewDisposeScope();
        return parameter.Values().to(dtype ?? parameter.Tensor.dtype, device).DetachFromDisposeScope();
    }

    /// <param name="parameters">The block's weights.</param>
    /// <param name="device">Where to compute.</param>
    /// <param name="dtype">What to compute in.</param>
    /// <param name="follows">Whether the block follows others, which the device may still be computing while the host reads the weights of
    /// this one. That takes as much memory again that stays the host's, so a part that runs by itself does without.</param>
    private sealed class Residence(ModuleTensor[] parameters, Device device, ScalarType? dtype, bool follows) : IDisposable
    {
        private readonly Lock gate = new();
        private readonly List<Tensor> elsewhere = [];
        private int users;

        public IReadOnlyList<ModuleTensor> Parameters => parameters;

        public void Enter()
        {
            lock (gate)
            {
                if (users == 0)
                {
                    MoveIn();
                }

                users++;
            }
        }

        public void Dispose()
        {
            lock (gate)
            {
                users--;
                if (users == 0)
                {
                    MoveOut();
                }
            }
        }

        private void MoveIn()
        {
            try
            {
                foreach (var parameter in parameters)
                {
                    elsewhere.Add(follows ? Send(parameter) : Move(parameter, device, dtype));
                }
            }
            catch
            {
                Clear();
                throw;
            }

            Trade();
        }

        private Tensor Send(ModuleTensor parameter)
        {
            using var scope = NewDisposeScope();
            return DeviceTransfer.Send(parameter.Values().to(dtype ?? parameter.Tensor.dtype), device).DetachFromDisposeScope();
        }

        private void MoveOut()
        {
            Trade();
            Clear();
            Array.ForEach(parameters, parameter => parameter.Storage?.ReleasePages());
        }

        private void Trade()
        {
            for (var i = 0; i < parameters.Length; i++)
            {
                parameters[i].Swap(elsewhere[i]);
            }
        }

        private void Clear()
        {
            elsewhere.ForEach(t => t.Dispose());
            elsewhere.Clear();
        }
    }
}
