using System.IO.Hashing;
using System.Text;
using System.Text.Json.Nodes;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines.Tests;

/// <summary>Banks that are cut off, and banks that someone wrote, with the right checksum, to do harm: one error that names the
/// file.</summary>
public sealed class HostileBankTests : IDisposable
{
    private readonly TemporaryFolder folder = new();
    private readonly DisposeScope scope = NewDisposeScope();
    private readonly DiffusionPipeline pipeline = LoadedModels.Load("tiny-sdxl");
    private readonly string path;
    private readonly string pathOfKeys;
    private readonly byte[] whole;

    public HostileBankTests()
    {
        var anchors = new Story
        {
            Subjects = ["a bear"],
            Scenes = [new("a bear in the forest") { Subjects = [new Subject("a bear").In(new RegionBox(0, 0, 0.5, 1))] },
                new("a bear")],
        };
        var options = new StoryOptions { Request = new() { Steps = 2, Seed = 5, Height = 64, Width = 64, GuidanceScale = 4 } };
        (path, pathOfKeys) = (folder.PathOf("a.storybank"), folder.PathOf("keys.storybank"));
        using (var keys = pipeline.CreateBank(anchors, options with { BankForm = StoryBankForm.Keys }))
        {
            keys.Save(pathOfKeys);
        }

        using var bank = pipeline.CreateBank(anchors, options);
        bank.Save(path);
        whole = File.ReadAllBytes(path);
    }

    /// <summary>What is changed in the card, as JSON in place of JSON, and what the message says.</summary>
    public static TheoryData<string, string, string> Cards() => new()
    {
        { "\"Version\":1", "\"Version\":1,\"Version\":1", "no valid story bank" },
        { "\"Version\":1", "\"Version\":2", "version 2" },
        { "\"Version\":1", "\"Version\":1.5", "version 1.5" },
        { "\"Version\":1", "\"Version\":\"1\"", "version \"1\"" },
        { "\"Version\":1", "\"Version\":null", "version null" },
        { "\"Version\":1", "\"Version\":99999999999999999999", "version 99999999999999999999" },
        { "\"Version\":1,", "", "version none" },
        { "\"Seeds\":[5,6]", "\"Seeds\":[5]", "1 seeds" },
        { "\"Seeds\":[5,6]", "\"Seeds\":[]", "0 seeds" },
        { "\"Seeds\":[5,6]", "\"Seeds\":null", "no valid story bank" },
        { "\"Seeds\":[5,6]", "\"Seeds\":[5,6e99]", "no valid story bank" },
        { "\"Width\":0.5", "\"Width\":9", "not within the image" },
        { "\"Width\":0.5", "\"Width\":null", "no valid story bank" },
        { "a bear in the forest", "", "does not occur" },
        { "\"Subjects\":[\"a bear\"]", "\"Subjects\":[]", "no subjects" },
        { "\"Subjects\":[\"a bear\"]", "\"Subjects\":null", "no valid story bank" },
        { "\"Subjects\":[\"a bear\"]", "\"Subjects\":[null]", "no valid story bank" },
        { "\"Cast\":[]", "\"Cast\":[null]", "no valid story bank" },
        { "\"Steps\":2", "\"Steps\":-2", "" },
        { "\"Height\":64", "\"Height\":128", "" },
    };

    [Fact]
    public void A_bank_that_is_cut_off_anywhere_is_refused()
    {
        var data = 8 + (int)BitConverter.ToInt64(whole);
        using var file = SafetensorsFile.Open(path);
        var begins = file.Tensors.Values.Select(info => (int)info.ByteCount).Aggregate(new List<int> { data }, (list, bytes) =>
        {
            list.Add(list[^1] + bytes);
            return list;
        });
        int[] lengths =
        [
            .. Enumerable.Range(0, 10).Select(tenth => whole.Length * tenth / 10), 1, 7, 8, 9, data - 1,
            .. begins.SelectMany(begin => new[] { begin - 1, begin, begin + 1 }),
        ];
        var copy = folder.PathOf("cut.storybank");
        foreach (var length in lengths.Where(length => length != whole.Length && length >= 0).Distinct())
        {
            File.WriteAllBytes(copy, length > whole.Length ? [.. whole, 0] : whole[..length]);
            Assert.StartsWith(copy, Assert.Throws<ModelFileException>(() => StoryBank.Load(copy)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_length_of_the_header_that_is_not_its_own_is_refused()
    {
        var length = BitConverter.ToInt64(whole);
        foreach (var other in (long[])[0, 1, length - 1, length + 1, int.MaxValue, uint.MaxValue, 100_000_000, long.MaxValue, -1])
        {
            File.WriteAllBytes(folder.PathOf("b"), [.. BitConverter.GetBytes(other), .. whole[8..]]);
            Assert.Throws<ModelFileException>(() => StoryBank.Load(folder.PathOf("b")));
        }
    }

    [Theory]
    [MemberData(nameof(Cards))]
    public void A_card_that_someone_changed_gives_one_error(string before, string after, string what)
    {
        var forged = Forge(card => card.Contains(before, StringComparison.Ordinal)
            ? card.Replace(before, after, StringComparison.Ordinal) : throw new InvalidOperationException(card));
        var error = Record.Exception(() =>
        {
            using var bank = StoryBank.Load(forged);
            bank.Describe();
            pipeline.GenerateScenes(bank, [new("a bear at home")]).Dispose();
        });
        Assert.True(error is ModelFileException or ArgumentException, $"{error}");
        Assert.Contains(what, error!.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("(Parameter", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_member_of_the_card_can_be_null_missing_or_of_another_kind()
    {
        string[] members = ["Pipeline", "Model", "Loras", "Dtype", "Request", "Techniques", "Story", "Seeds", "Timesteps", "Sigmas"];
        foreach (var member in members)
        {
            foreach (var value in (string?[])["null", "7", "\"x\"", "[]", "[null]", "{}", "true", null])
            {
                var forged = Forge(card =>
                {
                    var root = JsonNode.Parse(card)!.AsObject();
                    root.Remove(member);
                    if (value is not null)
                    {
                        root[member] = JsonNode.Parse(value);
                    }

                    return root.ToJsonString();
                });
                var error = Record.Exception(() =>
                {
                    using var bank = StoryBank.Load(forged);
                    bank.Describe();
                    pipeline.GenerateScenes(bank, [new("a bear at home")]).Dispose();
                });
                Assert.True(error is null or ModelFileException or ArgumentException, $"{member} = {value ?? "(absent)"}: {error}");
            }
        }
    }

    public static TheoryData<string, Action<Dictionary<string, Tensor>>> Tensors() => new()
    {
        { "latents.1", tensors => tensors.Remove("latents.1") },
        { "latents.0", tensors => tensors["latents.0"] = zeros(1, 4, 8, 8) },
        { "latents.0", tensors => tensors["latents.0"] = zeros(0, 4, 8, 8) },
        { "latents.0", tensors => tensors["latents.0"] = zeros(2, 4, 8, 8, dtype: int64) },
        { "expected", tensors => (tensors["latents.0"], tensors["latents.1"]) = (zeros(2, 4, 4, 4), zeros(2, 4, 4, 4)) },
        { "base.0", tensors => tensors["base.0"] = zeros(2, 1) },
        { "masks.1", tensors => tensors["masks.1"] = zeros(2, 1, dtype: ScalarType.Bool) },
        { "masks.1", tensors => tensors["masks.1"] = zeros(2, 2, 8, 8, dtype: ScalarType.Bool) },
        { "masks.1", tensors => tensors["masks.1"] = zeros(2, 1, 0, 8, dtype: ScalarType.Bool) },
        { "portraits.1", tensors => tensors.Remove("portraits.1") },
        { "portraits.0", tensors => tensors["portraits.0"] = zeros(3, dtype: float32) },
        { "The data", tensors => tensors["portraits.0"] = zeros(30, dtype: uint8) },
    };

    [Theory]
    [MemberData(nameof(Tensors), DisableDiscoveryEnumeration = true)]
    public void Tensors_that_are_not_the_cards_give_one_error(string what, Action<Dictionary<string, Tensor>> change)
    {
        var forged = Forge(card => card, change);
        var error = Record.Exception(() =>
        {
            using var bank = StoryBank.Load(forged);
            pipeline.GenerateScenes(bank, [new("a bear at home")]).Dispose();
        });
        Assert.True(error is ModelFileException or ArgumentException, $"{error}");
        Assert.Contains(what, error!.Message, StringComparison.Ordinal);
    }

    /// <summary>What is changed in a bank of keys: a call that has keys is given, by its name.</summary>
    public static TheoryData<string, Action<Dictionary<string, Tensor>, string>> Keys() => new()
    {
        { "'final' is missing", (tensors, _) => tensors.Remove("final") },
        { "'final' is Float64", (tensors, _) => tensors["final"] = tensors["final"].to(float64) },
        { "'final' is Float32 (1,", (tensors, _) => tensors["final"] = tensors["final"][..1] },
        { "latents have the shape (2, 4, 3, 8)", (tensors, _) => tensors["final"] = zeros(2, 4, 3, 8) },
        { "'masks.1.0' is Float32", (tensors, _) => tensors["masks.1.0"] = zeros(4, 4) },
        { "'masks.1.0' is Bool (16)", (tensors, _) => tensors["masks.1.0"] = zeros(16, dtype: ScalarType.Bool) },
        { "tokens.", (tensors, call) => tensors.Remove($"tokens.{call}") },
        { "tokens.", (tensors, call) => tensors[$"tokens.{call}"] = tensors[$"tokens.{call}"].to(int64) },
        { "number of anchors", (tensors, call) => tensors[$"tokens.{call}"] = empty(0, dtype: int32) },
        { "number of anchors", (tensors, call) => tensors[$"tokens.{call}"] = With(tensors, call, 0, -2) },
        { "number of anchors", (tensors, call) => tensors[$"tokens.{call}"] = With(tensors, call, 0, int.MaxValue) },
        { "number of anchors", (tensors, call) => tensors[$"tokens.{call}"] = With(tensors, call, 1, int.MaxValue) },
        { "other lengths", (tensors, call) => tensors[$"tokens.{call}"] = With(tensors, call, 2, -1) },
        { "other lengths", (tensors, call) => tensors[$"tokens.{call}"] = With(tensors, call, 2, int.MaxValue) },
        { "numbers; 2 lists", (tensors, call) => tensors[$"tokens.{call}"] = tensors[$"tokens.{call}"][..^1] },
        { "negative", (tensors, call) => tensors[$"tokens.{call}"] = With(tensors, call, 4, -1) },
        { "places of other tokens", (tensors, call) => tensors[$"tokens.{call}"] = With(tensors, call, 4, int.MaxValue) },
        { "places of other tokens", (tensors, call) => tensors[$"tokens.{call}"] = With(tensors, call, 4, 4096) },
        { "numbers; 2 lists", (tensors, call) => tensors[$"keys.{call}"] = tensors[$"keys.{call}"].narrow(1, 0, 1) },
        { "have the shape", (tensors, call) => tensors[$"keys.{call}"] = tensors[$"keys.{call}"].narrow(2, 0, 1) },
        { "have the shape", (tensors, call) => tensors[$"keys.{call}"] = tensors[$"keys.{call}"].narrow(3, 0, 1) },
        { "the first of 2 or 3", (tensors, call) => tensors[$"keys.{call}"] = tensors[$"keys.{call}"][..1] },
        { "keys are fractions", (tensors, call) => tensors[$"keys.{call}"] = tensors[$"keys.{call}"].to(int32) },
        { "keys are fractions", (tensors, call) => tensors[$"keys.{call}"] = tensors[$"keys.{call}"][0] },
        { "1 of which the model does not make", (tensors, call) => Rename(tensors, call, "0.conditional.no.such.layer") },
        { "1 of which the model does not make", (tensors, call) => Rename(tensors, call, $"9{call}") },
        { "infinite or NaN", (tensors, call) => tensors[$"keys.{call}"] = tensors[$"keys.{call}"].mul(double.NaN) },
    };

    [Theory]
    [MemberData(nameof(Keys), DisableDiscoveryEnumeration = true)]
    public void Keys_that_are_not_the_models_give_one_error(string what, Action<Dictionary<string, Tensor>, string> change)
    {
        var forged = Forge(card => card, tensors => change(tensors, tensors.Keys.First(name => name.StartsWith(
            "keys.1.conditional.", StringComparison.Ordinal))["keys.".Length..]), pathOfKeys);
        var error = Record.Exception(() =>
        {
            using var bank = StoryBank.Load(forged);
            bank.Describe();
            pipeline.GenerateScenes(bank, [new("a bear at home")]).Dispose();
        });
        Assert.True(error is ModelFileException or ArgumentException or NonFiniteException, $"{error}");
        Assert.Contains(what, error!.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("(Parameter", error.Message, StringComparison.Ordinal);
    }

    private static Tensor With(Dictionary<string, Tensor> tensors, string call, int index, int value)
    {
        var numbers = tensors[$"tokens.{call}"].data<int>().ToArray();
        numbers[index] = value;
        return tensor(numbers);
    }

    private static void Rename(Dictionary<string, Tensor> tensors, string call, string other)
    {
        foreach (var part in (string[])["keys", "tokens"])
        {
            tensors.Remove($"{part}.{call}", out var moved);
            tensors.Add($"{part}.{other}", moved!);
        }
    }

    public void Dispose()
    {
        pipeline.Dispose();
        scope.Dispose();
        folder.Dispose();
    }

    /// <summary>Writes the bank with changes, and with the checksum of what it then is, as the documents define it.</summary>
    private string Forge(
        Func<string, string> change, Action<Dictionary<string, Tensor>>? changeTensors = null, string? source = null)
    {
        using var file = SafetensorsFile.Open(source ?? path);
        var tensors = file.Tensors.Keys.ToDictionary(name => name, name => file.Read(name).clone());
        changeTensors?.Invoke(tensors);
        var card = change(file.Metadata["card"]);
        var hash = new XxHash128();
        hash.Append(Encoding.UTF8.GetBytes(card));
        foreach (var (name, values) in tensors.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            hash.Append(Encoding.UTF8.GetBytes($"{name} {values.dtype} ({string.Join(", ", values.shape)})"));
            hash.Append(values.contiguous().bytes);
        }

        var forged = folder.PathOf("forged.storybank");
        SafetensorsWriter.Write(forged, tensors, new Dictionary<string, string>
        {
            ["format"] = "storybank",
            ["card"] = card,
            ["checksum"] = Convert.ToHexStringLower(hash.GetCurrentHash()),
        });
        return forged;
    }
}
