using StorySync.Diffusion.Lora;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Diffusion.Tests.Lora;

/// <summary>What kinds of LoRA add to a weight, against their definitions in float64, element by element.</summary>
public class LoraProductTests
{
    private const int Outputs = 4, Inputs = 6, Rank = 2, Alpha = 3, Side = 3;

    private static readonly Dictionary<string, long[]> Shapes = new()
    {
        ["lora_down.weight"] = [Rank, Inputs], ["lora_up.weight"] = [Outputs, Rank],
        ["hada_w1_a"] = [Outputs, Rank], ["hada_w1_b"] = [Rank, Inputs], ["hada_w2_a"] = [Outputs, Rank], ["hada_w2_b"] = [Rank, Inputs],
        ["lokr_w1"] = [2, 3], ["lokr_w2"] = [2, 2], ["lokr_w1_a"] = [2, Rank], ["lokr_w1_b"] = [Rank, 3], ["lokr_w2_a"] = [2, Rank],
        ["lokr_w2_b"] = [Rank, 2],
    };

    public static TheoryData<string, string, double> Linear() => new()
    {
        { "LoRA", "lora_down.weight lora_up.weight", (double)Alpha / Rank },
        { "LoHa", "hada_w1_a hada_w1_b hada_w2_a hada_w2_b", (double)Alpha / Rank },
        { "LoKr of whole matrices", "lokr_w1 lokr_w2", 1 },
        { "LoKr of a product and a whole", "lokr_w1_a lokr_w1_b lokr_w2", (double)Alpha / Rank },
        { "LoKr of products", "lokr_w1_a lokr_w1_b lokr_w2_a lokr_w2_b", (double)Alpha / Rank },
    };

    [Theory]
    [MemberData(nameof(Linear))]
    public void A_linear_layer_gets_what_the_definition_says(string kind, string parts, double scale)
    {
        using var scope = NewDisposeScope();
        var values = parts.Split(' ').ToDictionary(part => part, part => Values(part, Shapes[part]));
        double At(string part, int row, int column) => values[part][row, column].item<double>();
        double Product(string a, string b, int row, int column) => Sum(Rank, r => At(a, row, r) * At(b, r, column));
        double First(int row, int column) =>
            values.ContainsKey("lokr_w1") ? At("lokr_w1", row, column) : Product("lokr_w1_a", "lokr_w1_b", row, column);
        double Second(int row, int column) =>
            values.ContainsKey("lokr_w2") ? At("lokr_w2", row, column) : Product("lokr_w2_a", "lokr_w2_b", row, column);

        AssertAdds(values, [Outputs, Inputs], index => scale * kind.Split(' ')[0] switch
        {
            "LoRA" => Product("lora_up.weight", "lora_down.weight", index[0], index[1]),
            "LoHa" => Product("hada_w1_a", "hada_w1_b", index[0], index[1]) * Product("hada_w2_a", "hada_w2_b", index[0], index[1]),
            _ => First(index[0] / 2, index[1] / 2) * Second(index[0] % 2, index[1] % 2),
        });
    }

    [Theory]
    [InlineData("LoCon")]
    [InlineData("LoCon with a core")]
    [InlineData("LoHa with cores")]
    [InlineData("LoKr with a core")]
    public void A_convolution_gets_what_the_definition_says(string kind)
    {
        using var scope = NewDisposeScope();
        Dictionary<string, Tensor> values = [];
        Tensor Add(string name, params long[] shape) => values[name] = Values(name, shape);
        double Tucker(string core, string a, string b, int row, int column, int y, int x) => Sum(Rank, i => Sum(Rank, j =>
            values[core][i, j, y, x].item<double>() * values[a][i, row].item<double>() * values[b][j, column].item<double>()));
        Func<int[], double> definition;
        switch (kind)
        {
            case "LoCon":
                var (down, up) = (Add("lora_down.weight", Rank, Inputs, Side, Side), Add("lora_up.weight", Outputs, Rank, 1, 1));
                definition = at => Sum(Rank, r => up[at[0], r, 0, 0].item<double>() * down[r, at[1], at[2], at[3]].item<double>());
                break;
            case "LoCon with a core":
                var (first, last) = (Add("lora_down.weight", Rank, Inputs, 1, 1), Add("lora_up.weight", Outputs, Rank, 1, 1));
                var mid = Add("lora_mid.weight", Rank, Rank, Side, Side);
                definition = at => Sum(Rank, p => Sum(Rank, q => last[at[0], p, 0, 0].item<double>()
                    * mid[p, q, at[2], at[3]].item<double>() * first[q, at[1], 0, 0].item<double>()));
                break;
            case "LoHa with cores":
                foreach (var part in (int[])[1, 2])
                {
                    Add($"hada_t{part}", Rank, Rank, Side, Side);
                    Add($"hada_w{part}_a", Rank, Outputs);
                    Add($"hada_w{part}_b", Rank, Inputs);
                }

                definition = at => Tucker("hada_t1", "hada_w1_a", "hada_w1_b", at[0], at[1], at[2], at[3])
                    * Tucker("hada_t2", "hada_w2_a", "hada_w2_b", at[0], at[1], at[2], at[3]);
                break;
            default:
                var whole = Add("lokr_w1", 2, 3);
                Add("lokr_t2", Rank, Rank, Side, Side);
                Add("lokr_w2_a", Rank, 2);
                Add("lokr_w2_b", Rank, 2);
                definition = at => whole[at[0] / 2, at[1] / 2].item<double>()
                    * Tucker("lokr_t2", "lokr_w2_a", "lokr_w2_b", at[0] % 2, at[1] % 2, at[2], at[3]);
                break;
        }

        AssertAdds(values, [Outputs, Inputs, Side, Side], at => definition(at) * Alpha / Rank);
    }

    /// <summary>DoRA: the sum has the direction, the magnitude the length, of each row, or of each column.</summary>
    [Theory]
    [InlineData("lora_magnitude_vector", true, Outputs)]
    [InlineData("lora_magnitude_vector.weight", true, Outputs)]
    [InlineData("dora_scale", true, Outputs, 1)]
    [InlineData("dora_scale", false, 1, Inputs)]
    public void A_DoRA_gives_the_sum_the_length_of_its_magnitudes(string name, bool ofRows, params int[] shape)
    {
        using var scope = NewDisposeScope();
        var (down, up) = (Values("down", Rank, Inputs), Values("up", Outputs, Rank));
        var magnitudes = Values(name, [.. shape]).abs().add(0.5);
        var weight = Weight(Outputs, Inputs);
        double Sums(int row, int column) => weight[row, column].item<double>()
            + (Sum(Rank, r => up[row, r].item<double>() * down[r, column].item<double>()) * Alpha / Rank);
        double Length(int row, int column) => Math.Sqrt(ofRows ? Sum(Inputs, i => Math.Pow(Sums(row, i), 2))
            : Sum(Outputs, i => Math.Pow(Sums(i, column), 2)));
        AssertAdds(
            new() { ["lora_down.weight"] = down, ["lora_up.weight"] = up, [name] = magnitudes },
            [Outputs, Inputs],
            at => (Sums(at[0], at[1]) * magnitudes.view(-1)[ofRows ? at[0] : at[1]].item<double>() / Length(at[0], at[1]))
                - weight[at[0], at[1]].item<double>());
    }

    [Theory]
    [InlineData("hada_w1_a hada_w1_b", "lacks the tensor hada_w2_a")]
    [InlineData("lokr_w1 lokr_w2 lokr_w2_a", "do not belong together")]
    [InlineData("lora_down.weight lora_up.weight lokr_w1", "has tensors of several kinds")]
    [InlineData("lokr_w1_a lokr_w2", "lacks the tensor lokr_w1_b")]
    public void Parts_that_make_no_product_are_refused(string parts, string said)
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var loras = new LoraAdapters([("unet", Module(Outputs, Inputs), null)]);
        var path = Write(folder, parts.Split(' ').ToDictionary(part => part, part => Values(part, Shapes[part])));
        Assert.Contains(said, Assert.Throws<ModelFileException>(() => loras.Load(path)).Message, StringComparison.Ordinal);
    }

    private static void AssertAdds(Dictionary<string, Tensor> parts, long[] shape, Func<int[], double> expected)
    {
        using var folder = new TemporaryFolder();
        using var module = Module(shape);
        var weight = module.get_parameter("layer.weight")!;
        var before = weight.clone();
        using var loras = new LoraAdapters([("unet", module, null)]);
        loras.Load(Write(folder, parts), "it", 0.5);
        var added = (weight - before).to(float64);
        for (var flat = 0; flat < added.numel(); flat++)
        {
            var (rest, index) = (flat, new int[shape.Length]);
            for (var axis = shape.Length - 1; axis >= 0; axis--)
            {
                (rest, index[axis]) = ((int)(rest / shape[axis]), (int)(rest % shape[axis]));
            }

            Assert.Equal(0.5 * expected(index), added.view(-1)[flat].item<double>(), 1e-5);
        }

        loras.Remove("it");
        TensorAssert.SameBits(before, weight);
    }

    private static string Write(TemporaryFolder folder, Dictionary<string, Tensor> parts)
    {
        var path = folder.PathOf("lora.safetensors");
        var tensors = parts.ToDictionary(part => $"lora_unet_layer.{part.Key}", part => part.Value.to(float32));
        SafetensorsWriter.Write(path, new Dictionary<string, Tensor>(tensors) { ["lora_unet_layer.alpha"] = tensor((float)Alpha) });
        return path;
    }

    private static TorchSharp.Modules.Sequential Module(params long[] shape)
    {
        nn.Module<Tensor, Tensor> layer = shape.Length == 2 ? nn.Linear(shape[1], shape[0], hasBias: false)
            : nn.Conv2d(shape[1], shape[0], shape[2], bias: false);
        using var grad = no_grad();
        layer.get_parameter("weight")!.copy_(Weight(shape).to(float32));
        return nn.Sequential(("layer", layer));
    }

    private static Tensor Weight(params long[] shape) => Values("weight", shape);

    /// <summary>Numbers that float32 holds, which depend on the name.</summary>
    private static Tensor Values(string name, params long[] shape)
    {
        var start = name.Sum(letter => letter);
        return arange(0, shape.Aggregate((a, b) => a * b)).to(float64).add(start).mul(2.1).sin().mul(64).round().div(64).view(shape);
    }

    private static double Sum(int count, Func<int, double> term) => Enumerable.Range(0, count).Sum(term);
}
