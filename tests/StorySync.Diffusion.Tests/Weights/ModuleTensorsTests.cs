using StorySync.Diffusion.Weights;
using StorySync.Kernels;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Weights;

public class ModuleTensorsTests
{
    [Fact]
    public void Parameters_have_the_names_and_the_order_of_a_state_dict()
    {
        using var module = nn.Sequential(
            ("a", nn.Linear(1, 2)), ("b", nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))), ("c", nn.Linear(3, 1)));

        Assert.Equal(module.named_parameters().Select(entry => entry.name), ModuleTensors.ParametersOf(module).Select(entry => entry.Name));
    }

    /// <summary>As when another thread's run packs weights: a freed handle is given to another parameter.</summary>
    [Fact]
    public void Parameters_whose_handles_change_meanwhile_are_all_there()
    {
        using var mode = no_grad();
        using var module = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 3), nn.Linear(3, 4));
        var parameters = module.parameters().ToList();

        var found = new List<Tensor>();
        foreach (var entry in ModuleTensors.ParametersOf(module))
        {
            found.Add(entry.Tensor);
            parameters.ForEach(parameter => Parameters.Replace(parameter, zeros(1)));
        }

        Assert.Equal(parameters, found, ReferenceEqualityComparer.Instance.Equals);
    }
}
