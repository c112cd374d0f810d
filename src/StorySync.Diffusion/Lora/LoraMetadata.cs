using System.Text.Json;
using System.Text.RegularExpressions;
using StorySync.Diffusion.Weights;

namespace StorySync.Diffusion.Lora;

/// <summary>PEFT's <c>LoraConfig</c> of each component, which diffusers keeps in the header of a LoRA file: the alpha, also by layer
/// (<c>alpha_pattern</c>), the rank, also by layer (<c>rank_pattern</c>), and whether the scale is alpha / √rank (<c>use_rslora</c>,
/// arXiv 2312.03732).</summary>
internal sealed class LoraMetadata
{
    /// <summary>The header's entry.</summary>
    public const string Key = "lora_adapter_metadata";

    // PEFT's default.
    private const double DefaultAlpha = 8;

    private readonly string path;
    private readonly Dictionary<string, Component> components = [];

    private LoraMetadata(string path) => this.path = path;

    /// <exception cref="ModelFileException">The entry is no JSON object, or a value in it is of the wrong kind.</exception>
    public static LoraMetadata Read(SafetensorsFile file)
    {
        var metadata = new LoraMetadata(file.Path);
        if (file.Metadata.TryGetValue(Key, out var json) && json.Length > 0)
        {
            metadata.Parse(json);
        }

        return metadata;
    }

    /// <summary>Returns a value indicating whether there is a config for the component of a layer.</summary>
    public bool Holds(string layer) => components.ContainsKey(ComponentOf(layer));

    /// <summary>Returns a value indicating whether the config says that a layer's weight gets a length of its own.</summary>
    public bool IsDora(string layer) => components.TryGetValue(ComponentOf(layer), out var component) && component.IsDora;

    /// <summary>Returns the factor of a layer's product, as PEFT computes it; null where there is no config for its component.</summary>
    /// <exception cref="ModelFileException">The config names another rank than the matrices have.</exception>
    public double? ScaleOf(string layer, long rank)
    {
        if (!components.TryGetValue(ComponentOf(layer), out var component))
        {
            return null;
        }

        var name = layer[ComponentOf(layer).Length..].TrimStart('.');
        if (Match(component.Ranks, name) is { } own && own != rank
            || (Match(component.Ranks, name) is null && component.Rank is { } all && all != rank))
        {
            throw new ModelFileException(path,
                $"layer '{layer}' has rank {rank}, where {Key} says {Match(component.Ranks, name) ?? component.Rank}; expected the same");
        }

        var alpha = Match(component.Alphas, name) ?? component.Alpha ?? DefaultAlpha;
        return alpha / (component.UsesSquareRoot ? Math.Sqrt(rank) : rank);
    }

    /// <summary>The component that leads a layer's name; empty where none does, as in a file of one component.</summary>
    private static string ComponentOf(string layer) => layer.Split('.')[0] is var first && LoraNames.IsComponent(first) ? first : "";

    private void Parse(string json)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                throw Wrong($"is {Kind(document.RootElement)}; it must be a JSON object");
            }

            foreach (var entry in document.RootElement.EnumerateObject().Where(entry => entry.Value.ValueKind != JsonValueKind.Null))
            {
                var dot = entry.Name.LastIndexOf('.');
                var name = dot < 0 ? "" : entry.Name[..dot];
                var component = components.GetValueOrDefault(name) ?? new Component();
                var changed = entry.Name[(dot + 1)..] switch
                {
                    "r" => component with { Rank = Number(entry.Name, entry.Value) },
                    "lora_alpha" => component with { Alpha = Number(entry.Name, entry.Value) },
                    "use_rslora" => component with { UsesSquareRoot = Flag(entry) },
                    "rank_pattern" => component with { Ranks = Pattern(entry) },
                    "alpha_pattern" => component with { Alphas = Pattern(entry) },
                    "use_dora" => component with { IsDora = Flag(entry) },
                    _ => component,
                };
                if (name.Length > 0 || !ReferenceEquals(changed, component))
                {
                    components[name] = changed;
                }
            }
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            throw Wrong($"is not valid JSON: {exception.Message}", exception);
        }
    }

    private IReadOnlyList<(Regex Layer, double Value)> Pattern(JsonProperty entry)
    {
        if (entry.Value.ValueKind != JsonValueKind.Object)
        {
            throw Wrong($"has '{entry.Name}', which is {Kind(entry.Value)}; it must be an object of numbers by layer");
        }

        return [.. entry.Value.EnumerateObject().Select(pair => (Layer(pair.Name), Number($"{entry.Name}.{pair.Name}", pair.Value)))];

        Regex Layer(string pattern)
        {
            try
            {
                // PEFT's own: the end of a layer's name, after a dot.
                // Without backtracking, no pattern takes more than a moment.
                return new Regex($@"^(?:.*\.)?(?:{pattern})$", RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);
            }
            catch (Exception exception) when (exception is ArgumentException or NotSupportedException)
            {
                throw Wrong($"has '{entry.Name}' for '{pattern}', which is no regular expression that can be matched in linear time: "
                    + exception.Message, exception);
            }
        }
    }

    private double Number(string name, JsonElement value) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && float.IsFinite((float)number)
            ? number
            : throw Wrong($"has '{name}', which is {Kind(value)}; it must be a finite number of float32");

    private bool Flag(JsonProperty entry) => entry.Value.ValueKind is JsonValueKind.True or JsonValueKind.False
        ? entry.Value.GetBoolean()
        : throw Wrong($"has '{entry.Name}', which is {Kind(entry.Value)}; it must be true or false");

    private static double? Match(IReadOnlyList<(Regex Layer, double Value)> patterns, string layer)
    {
        foreach (var (regex, value) in patterns)
        {
            if (regex.IsMatch(layer))
            {
                return value;
            }
        }

        return null;
    }

    private ModelFileException Wrong(string problem, Exception? cause = null) => new(path, $"its metadata {Key} {problem}", cause);

    private static string Kind(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Array => "a list",
        JsonValueKind.Object => "an object",
        _ => value.GetRawText() is var text && text.Length <= 40 ? text : string.Concat(text.AsSpan(0, 40), "…"),
    };

    private sealed record Component
    {
        public double? Rank { get; init; }

        public double? Alpha { get; init; }

        public bool UsesSquareRoot { get; init; }

        public bool IsDora { get; init; }

        public IReadOnlyList<(Regex Layer, double Value)> Ranks { get; init; } = [];

        public IReadOnlyList<(Regex Layer, double Value)> Alphas { get; init; } = [];
    }
}
