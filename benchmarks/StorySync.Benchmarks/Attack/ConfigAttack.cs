using StorySync.Pipelines;
using StorySync.TestSupport;

namespace StorySync.Benchmarks.Attack;

/// <summary>Models with one damaged config or vocabulary: each is refused, or draws.</summary>
/// <param name="models">The folder of tiny models.</param>
internal sealed class ConfigAttack(string models) : IAttack
{
    private readonly WorkingCopy[] copies = [.. TinyModels.Names.Select(name => new WorkingCopy(Path.Combine(models, name)))];

    public string Input { get; private set; } = "";

    public string Try(int index, Random random)
    {
        var copy = copies[index % copies.Length];
        var files = copy.Files.Where(file => !file.EndsWith(".safetensors", StringComparison.Ordinal)).ToList();
        var file = files[random.Next(files.Count)];
        var bytes = File.ReadAllBytes(copy.PathOf(file));
        bytes = file.EndsWith(".json", StringComparison.Ordinal)
            ? Mutation.JsonOrBytes(bytes, random) : Mutation.Bytes(bytes, random);
        Input = $"{TinyModels.Names[index % copies.Length]}/{file}, {bytes.Length} bytes, "
            + $"{Convert.ToBase64String(bytes.AsSpan(0, Math.Min(bytes.Length, 3000)))}";
        File.WriteAllBytes(copy.PathOf(file), bytes);
        try
        {
            return Ending.Of(() => Draw(copy.Path), exception => Ending.IsOfFile(exception, copy.Path));
        }
        finally
        {
            copy.Mend(file);
        }
    }

    public void Dispose() => Array.ForEach(copies, copy => copy.Dispose());

    private static string Draw(string folder)
    {
        using var pipeline = TinyModels.Load(folder);
        return Ending.Of(
            () =>
            {
                TinyModels.Draw(pipeline);
                return "drawn";
            },
            Ending.IsOfRun);
    }
}
