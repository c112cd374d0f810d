using System.IO.Hashing;
using System.Text;
using StorySync.Diffusion.Weights;
using StorySync.Pipelines;
using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Benchmarks.Attack;

/// <summary>Damaged banks of both forms: each is refused, or a scene is drawn with it. Half of them have the right checksum again, so that
/// what lies within is reached.</summary>
internal sealed class BankAttack : IAttack
{
    private static readonly Scene Further = new("a red fox at home");

    private readonly TemporaryFolder folder = new();
    private readonly DiffusionPipeline[] pipelines;
    private readonly (int Model, byte[] Bank)[] sources;

    public BankAttack(string models)
    {
        pipelines = TinyModels.LoadAll(models);
        sources = [.. Enum.GetValues<StoryBankForm>().SelectMany(form => pipelines.Select((pipeline, model) =>
        {
            using var bank = pipeline.CreateBank(
                new()
                {
                    Subjects = ["a red fox"],
                    Scenes = [new("a red fox") { Subjects = [new Subject("a red fox").In(new RegionBox(0, 0, 0.5, 1))] },
                        new("a red fox in snow")],
                },
                new() { Request = TinyModels.Request() with { Prompts = [] }, BankForm = form });
            bank.Save(Case);
            return (model, File.ReadAllBytes(Case));
        }))];
    }

    public string Input { get; private set; } = "";

    private string Case => Path.Combine(folder.Path, "case.storybank");

    public string Try(int index, Random random)
    {
        var (model, bank) = sources[index % sources.Length];
        if (random.Next(2) == 0)
        {
            File.WriteAllBytes(Case, Mutation.Safetensors(bank, random));
        }
        else
        {
            Forge(bank, random);
        }

        Input = $"{TinyModels.Names[model]}, {Convert.ToBase64String(File.ReadAllBytes(Case))}";
        return Ending.Of(
            () =>
            {
                using var loaded = StoryBank.Load(Case);
                Ending.Require(loaded.Describe().Length > 0, "The bank has no description.");
                return Ending.Of(
                    () =>
                    {
                        pipelines[model].GenerateScenes(loaded, [Further]).Dispose();
                        return "drawn";
                    },
                    exception => Ending.IsOfRun(exception) || exception is ArgumentException { ParamName: null });
            },
            exception => Ending.IsOfFile(exception, Case));
    }

    public void Dispose()
    {
        Array.ForEach(pipelines, pipeline => pipeline.Dispose());
        folder.Dispose();
    }

    /// <summary>Writes the bank with a damaged card, without a tensor or with one of another form or with another number, and the checksum
    /// that <see cref="StoryBank"/> documents.</summary>
    private void Forge(byte[] source, Random random)
    {
        using var scope = NewDisposeScope();
        File.WriteAllBytes(Case, source);
        Dictionary<string, Tensor> tensors;
        string card;
        using (var file = SafetensorsFile.Open(Case))
        {
            tensors = file.Tensors.Keys.ToDictionary(name => name, name => file.Read(name).clone());
            card = file.Metadata["card"];
        }

        switch (random.Next(6))
        {
            case 0:
                tensors.Remove(tensors.Keys.Order(StringComparer.Ordinal).ElementAt(random.Next(tensors.Count)));
                break;
            case 1:
                var changed = tensors.Keys.Order(StringComparer.Ordinal).ElementAt(random.Next(tensors.Count));
                tensors[changed] = random.Next(2) == 0 ? tensors[changed].unsqueeze(0) : tensors[changed].to(float64);
                break;
            case 2:
                Renumber(tensors, random);
                break;
            default:
                card = Encoding.UTF8.GetString(Mutation.Json(Encoding.UTF8.GetBytes(card), random));
                break;
        }

        Write(card, tensors);
    }

    /// <summary>Puts an odd number into a tensor that has whole ones, where there is one, else into any.</summary>
    private static void Renumber(Dictionary<string, Tensor> tensors, Random random)
    {
        string[] names = [.. tensors.Keys.Order(StringComparer.Ordinal)];
        string[] places = [.. names.Where(name => tensors[name].dtype == ScalarType.Int32)];
        var changed = places.Length > 0 && random.Next(2) == 0 ? places[random.Next(places.Length)] : names[random.Next(names.Length)];
        var numbers = tensors[changed].flatten();
        if (numbers.numel() == 0)
        {
            return;
        }

        var at = random.Next(Math.Min((int)numbers.numel(), 8));
        using var one = numbers.narrow(0, at, 1);
        var odd = numbers.is_floating_point()
            ? tensor(((float[])[float.NaN, float.PositiveInfinity, 1e30f, 0])[random.Next(4)])
            : tensor(((int[])[-1, int.MinValue, int.MaxValue, 0, 1 << 20, one.to(int32).item<int>() + 1])[random.Next(6)]);
        one.copy_(odd.to(numbers.dtype));
        tensors[changed] = numbers.view(tensors[changed].shape);
    }

    private void Write(string card, Dictionary<string, Tensor> tensors)
    {
        var hash = new XxHash128();
        hash.Append(Encoding.UTF8.GetBytes(card));
        foreach (var (name, values) in tensors.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            hash.Append(Encoding.UTF8.GetBytes($"{name} {values.dtype} ({string.Join(", ", values.shape)})"));
            hash.Append(values.contiguous().bytes);
        }

        File.Delete(Case);
        SafetensorsWriter.Write(Case, tensors, new Dictionary<string, string>
        {
            ["format"] = "storybank", ["card"] = card, ["checksum"] = Convert.ToHexStringLower(hash.GetCurrentHash()),
        });
    }
}
