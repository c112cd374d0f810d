using System.Globalization;
using System.Text;
using System.Text.Json;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>Represents a story's anchors as further scenes read them: see <see cref="StoryBankForm"/>. With a bank scenes can be added to a
/// story at any time (<see cref="DiffusionPipeline.GenerateScenes"/>), on the model, with the steps, at the size and with the settings that
/// the bank was made with. It lies on the host, whatever the device.</summary>
/// <remarks>A file of a bank is a safetensors file. As a trajectory it has these tensors: <c>latents.{step}</c>, float32, the anchors'
/// latents that enter a model call; <c>base.{step}</c>, the same of the unmodified branch, for the steps that have one;
/// <c>masks.{step}</c>, bool, (anchors, subjects, height, width), where the step has masks that were found. As keys, for each
/// <c>{call}</c> of a layer in which scenes read, <c>{step}.{conditional or unconditional}.{layer's path}</c>: <c>keys.{call}</c>, (2 or 3,
/// tokens, heads, width), the keys, values and, where there is harmonization, the outputs of the anchors' subject tokens;
/// <c>tokens.{call}</c>, int32, the number of anchors, of lists for each (one for each subject, and one for what belongs to none where a
/// location is shared), the length of each list, and then the tokens' places in their image; for takes, <c>final</c>, float32, the
/// anchors' final latents, and <c>masks.{anchor}.{subject}</c>, bool, (height, width), where their subjects are. Both have
/// <c>portraits.{anchor}</c>, uint8, the anchors' images as PNG files.
/// The metadata have <c>format</c> (<c>storybank</c>), <c>card</c>, the <see cref="Card"/> as JSON, and <c>checksum</c>, the XXH128 of the
/// card and of each tensor's name, type, shape and bytes, in the order of the names.</remarks>
public sealed class StoryBank : IDisposable
{
    private const string Format = "storybank";

    /// <summary>How a card is read: nothing that must be there may be null.</summary>
    private static readonly JsonSerializerOptions CardForm = new() { RespectNullableAnnotations = true, AllowDuplicateProperties = false };

    private readonly Dictionary<string, Tensor> tensors;
    private readonly SafetensorsFile? file;
    private bool disposed;

    private StoryBank(StoryBankCard card, IReadOnlyList<RgbImage> portraits, Dictionary<string, Tensor> tensors, SafetensorsFile? file)
    {
        (Card, Portraits, this.tensors, this.file) = (card, portraits, tensors, file);
    }

    /// <summary>Gets what the bank says of itself.</summary>
    public StoryBankCard Card { get; }

    /// <summary>Gets the anchors' images, in the order of the card's scenes.</summary>
    public IReadOnlyList<RgbImage> Portraits { get; }

    /// <summary>Gets the bytes of all that is kept, with the portraits.</summary>
    /// <exception cref="ObjectDisposedException">The bank was disposed.</exception>
    public long Bytes
    {
        get
        {
            ObjectDisposedException.ThrowIf(disposed, this);
            return tensors.Values.Sum(tensor => tensor.numel() * tensor.ElementSize);
        }
    }

    /// <summary>Gets the anchors and subjects, by their indices, whose masks were found and not given.</summary>
    internal IEnumerable<(int Anchor, int Subject)> FoundSubjects => field ??= [.. StoryRules.FoundSubjects(
        StoryRules.ExpandCast(Card.Story, new StoryBatchOrigin(IsAnchored: true)), Anchors)];

    /// <summary>Gets the number of anchors.</summary>
    internal int Anchors => Card.Story.Scenes.Count;

    /// <summary>Gets how many anchors are computed along with each batch of scenes.</summary>
    internal int ComputedAnchors => Card.Form == StoryBankForm.Trajectory ? Anchors : 0;

    /// <summary>Reads a bank. Its tensors are views of the mapped file, which must not be written to while the bank lives; another file may
    /// take its name.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="ModelFileException">The file is missing, truncated or damaged, no bank, or one of another version.</exception>
    public static StoryBank Load(string path)
    {
        var file = SafetensorsFile.Open(path);
        var tensors = new Dictionary<string, Tensor>();
        try
        {
            if (file.Metadata.GetValueOrDefault("format") != Format || !file.Metadata.TryGetValue("card", out var json))
            {
                throw new ModelFileException(path, "a safetensors file, but no story bank; expected one that StoryBank.Save wrote");
            }

            StoryBankFormat.CheckVersion(path, json);
            foreach (var name in file.Tensors.Keys)
            {
                tensors[name] = file.Read(name).DetachFromDisposeScope();
            }

            // First of all: a damaged card can hold numbers that options refuse.
            if (StoryBankFormat.Checksum(json, tensors) != file.Metadata.GetValueOrDefault("checksum"))
            {
                throw new ModelFileException(
                    path, "the story bank is damaged: its content does not have the checksum that it was written with; copy it again");
            }

            var card = JsonSerializer.Deserialize<StoryBankCard>(json, CardForm)!;
            StoryBankFormat.CheckFits(card, tensors);
            return new StoryBank(card, [.. Enumerable.Range(0, card.Story.Scenes.Count).Select(Portrait)], tensors, file);

            RgbImage Portrait(int anchor) => RgbImage.Decode(tensors[StoryBankFormat.PortraitName(anchor)].bytes);
        }
        catch (Exception exception)
        {
            Release(tensors, file);
            if (exception is JsonException or NotSupportedException or InvalidOperationException or KeyNotFoundException
                or InvalidDataException or ArgumentException or FormatException)
            {
                throw new ModelFileException(path, $"no valid story bank: {exception.Message}", exception);
            }

            throw;
        }
    }

    /// <summary>Writes the bank. The file appears whole, under its name, when all is written; one that was there before is
    /// replaced.</summary>
    /// <param name="path">The file to write; its folder must exist.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests; checked between tensors. No file is left.</param>
    /// <exception cref="ObjectDisposedException">The bank was disposed.</exception>
    /// <exception cref="ModelFileException">The file that the bank was read from was written to since.</exception>
    public void Save(string path, CancellationToken cancellationToken = default)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        var card = JsonSerializer.Serialize(Card);
        var metadata = new Dictionary<string, string>
        {
            ["format"] = Format, ["card"] = card, ["checksum"] = StoryBankFormat.Checksum(card, tensors),
        };

        // What was written to has the right checksum now.
        ThrowIfChanged();
        SafetensorsWriter.Write(path, tensors, metadata, cancellationToken);
    }

    /// <summary>Returns what the bank is, in lines of text.</summary>
    /// <exception cref="ObjectDisposedException">The bank was disposed.</exception>
    public string Describe()
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        var (text, request) = (new StringBuilder(), Card.Request);
        var model = Card.Model[..Math.Min(Card.Model.Length, 12)];
        Line($"{Anchors} anchors by {Card.Pipeline} (model {model}, {Card.Dtype}), {ByteSize.Text(Bytes)} of {Kept}");
        Line($"  {request.Width}×{request.Height}, {Card.Timesteps.Count} calls by {request.Scheduler}, guidance {request.GuidanceScale}");
        foreach (var lora in Card.Loras)
        {
            Line($"  LoRA {lora}");
        }

        Line($"  subjects: {string.Join(", ", [.. Card.Story.Subjects, .. Card.Story.Cast.Select(character => character.Subject())])}");
        foreach (var (scene, seed) in Card.Story.Scenes.Zip(Card.Seeds))
        {
            Line($"  {scene.Prompt} (seed {seed})");
        }

        return text.ToString().TrimEnd();

        void Line(FormattableString line) => text.AppendLine(line.ToString(CultureInfo.InvariantCulture));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!disposed)
        {
            disposed = true;
            Release(tensors, file);
        }
    }

    /// <summary>Makes a bank of what was recorded.</summary>
    /// <param name="card">The card.</param>
    /// <param name="portraits">The anchors' images.</param>
    /// <param name="recorded">Tensors on the host, which become the bank's.</param>
    internal static StoryBank Of(StoryBankCard card, IReadOnlyList<RgbImage> portraits, Dictionary<string, Tensor> recorded)
    {
        foreach (var (anchor, portrait) in portraits.Index())
        {
            recorded[StoryBankFormat.PortraitName(anchor)] = tensor(portrait.EncodePng()).DetachFromDisposeScope();
        }

        return new StoryBank(card, portraits, recorded, file: null);
    }

    /// <summary>Returns a bank of the same tensors, which are freed with the last of the two.</summary>
    internal StoryBank Share()
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        var shared = tensors.ToDictionary(pair => pair.Key, pair => pair.Value.alias().DetachFromDisposeScope());
        return new StoryBank(Card, Portraits, shared, file: null);
    }

    /// <summary>Gets how many calls of layers there are keys of.</summary>
    internal int KeptCalls => tensors.Count(IsOfKeys);

    /// <summary>A tensor of the bank, which stays the bank's; null where it has none of that name.</summary>
    /// <exception cref="ObjectDisposedException">The bank was disposed.</exception>
    /// <exception cref="ModelFileException">The file was written to.</exception>
    internal Tensor? Find(string name)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        ThrowIfChanged();
        return tensors.GetValueOrDefault(name);
    }

    private static bool IsOfKeys(KeyValuePair<string, Tensor> tensor) => StoryBankFormat.IsOfKeys(tensor.Key);

    /// <exception cref="ModelFileException">The file was written to.</exception>
    private void ThrowIfChanged()
    {
        try
        {
            file?.ThrowIfChanged();
        }
        catch (ModelFileException exception)
        {
            throw new ModelFileException(
                exception.Path,
                "the story bank was written to while it was in use; load it again. To change a bank, write a new file and move it over the "
                    + "old",
                exception);
        }
    }

    /// <summary>Gets what the bank keeps, in words.</summary>
    private string Kept => Card.Form == StoryBankForm.Keys
        ? $"keys{(tensors.FirstOrDefault(IsOfKeys).Value is { } keys ? $" in {keys.dtype}" : "")}"
        : "latents";

    private static void Release(Dictionary<string, Tensor> tensors, SafetensorsFile? file)
    {
        foreach (var tensor in tensors.Values)
        {
            tensor.Dispose();
        }

        tensors.Clear();
        file?.Dispose();
    }
}
