using System.Globalization;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using StorySync.Attention;
using StorySync.Diffusion.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>The names of a bank's tensors, the checksum of its file, and the checks that a file is one: see
/// <see cref="StoryBank"/>.</summary>
internal static class StoryBankFormat
{
    /// <summary>The name of the final latents.</summary>
    public const string FinalName = "final";

    /// <summary>How the names of keys begin.</summary>
    private const string KeysPrefix = "keys.";
    private const string TokensPrefix = "tokens.";

    public static string LatentsName(int step, bool isBase) =>
        string.Create(CultureInfo.InvariantCulture, $"{(isBase ? "base" : "latents")}.{step}");

    public static string MaskName(int anchor, int subject) =>
        string.Create(CultureInfo.InvariantCulture, $"masks.{anchor}.{subject}");

    public static string KeysName(KeyAddress address) => $"{KeysPrefix}{Call(address)}";

    public static string TokensName(KeyAddress address) => $"{TokensPrefix}{Call(address)}";

    /// <summary>Whether a tensor of this name is a layer's keys.</summary>
    public static bool IsOfKeys(string name) => name.StartsWith(KeysPrefix, StringComparison.Ordinal);

    public static string MasksName(int step) => string.Create(CultureInfo.InvariantCulture, $"masks.{step}");

    public static string PortraitName(int anchor) => string.Create(CultureInfo.InvariantCulture, $"portraits.{anchor}");

    /// <summary>Gets the numbers that say where the tokens of a call are.</summary>
    public static ReadOnlySpan<int> NumbersOf(Tensor tokens) => MemoryMarshal.Cast<byte, int>(tokens.bytes);

    /// <summary>Computes the XXH128 of the card and of each tensor's name, type, shape and bytes, in the order of the names.</summary>
    public static string Checksum(string card, Dictionary<string, Tensor> tensors)
    {
        var hash = new XxHash128();
        hash.Append(Encoding.UTF8.GetBytes(card));
        foreach (var (name, tensor) in tensors.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            hash.Append(Encoding.UTF8.GetBytes($"{name} {tensor.dtype} ({string.Join(", ", tensor.shape)})"));
            foreach (var piece in TensorBytes.Pieces(tensor))
            {
                using (piece)
                {
                    hash.Append(piece.bytes);
                }
            }
        }

        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }

    /// <exception cref="ModelFileException">The bank is of another version than this library reads.</exception>
    public static void CheckVersion(string path, string json)
    {
        using var card = JsonDocument.Parse(json);
        var version = card.RootElement.ValueKind == JsonValueKind.Object
            && card.RootElement.TryGetProperty(nameof(StoryBankCard.Version), out var found) ? found.GetRawText() : "none";
        if (version != StoryBankCard.CurrentVersion.ToString(CultureInfo.InvariantCulture))
        {
            throw new ModelFileException(
                path,
                $"the story bank has version {(version.Length > 20 ? version[..20] + "…" : version)}; this library reads version "
                    + $"{StoryBankCard.CurrentVersion}");
        }
    }

    /// <summary>Checks that the tensors are those that the card describes.</summary>
    /// <exception cref="ArgumentException">The story breaks a rule.</exception>
    /// <exception cref="InvalidDataException">They are not.</exception>
    public static void CheckFits(StoryBankCard card, Dictionary<string, Tensor> tensors)
    {
        var origin = new StoryBatchOrigin(IsAnchored: true);
        var story = StoryRules.ExpandCast(card.Story, origin);
        StoryRules.Check(story, origin, story.Scenes.Count);
        var (anchors, steps) = (story.Scenes.Count, card.Timesteps.Count);
        if (card.Seeds.Count != anchors || steps == 0 || card.Request.Scheduler?.Instance is null)
        {
            throw new InvalidDataException($"its card has {card.Seeds.Count} seeds, {steps} timesteps and "
                + $"{(card.Request.Scheduler?.Instance is null ? "no" : "a")} scheduler for {anchors} anchors.");
        }

        if (card.Form == StoryBankForm.Trajectory)
        {
            RequireTrajectory();
        }
        else
        {
            RequireKeys();
        }

        for (var anchor = 0; anchor < anchors; anchor++)
        {
            Require(PortraitName(anchor), uint8, [tensors.GetValueOrDefault(PortraitName(anchor))?.numel() ?? 0]);
        }

        void RequireTrajectory()
        {
            var shape = tensors.GetValueOrDefault(LatentsName(0, isBase: false))?.shape ?? [];
            for (var step = 0; step < steps; step++)
            {
                Require(LatentsName(step, isBase: false), float32, [anchors, .. shape.Skip(1)]);
                if (tensors.ContainsKey(LatentsName(step, isBase: true)))
                {
                    Require(LatentsName(step, isBase: true), float32, [anchors, .. shape.Skip(1)]);
                }

                var name = MasksName(step);
                if (tensors.TryGetValue(name, out var masks))
                {
                    Require(name, ScalarType.Bool, [anchors, story.Subjects.Count, .. masks.shape.Skip(2)]);
                    if (masks.dim() != 4 || masks.numel() == 0)
                    {
                        throw new InvalidDataException(
                            $"'{name}' has {masks.dim()} axes and {masks.numel()} values; masks have four axes.");
                    }
                }
            }
        }

        void RequireKeys()
        {
            Require(FinalName, float32, [anchors, .. (tensors.GetValueOrDefault(FinalName)?.shape ?? []).Skip(1)]);
            foreach (var (name, keys) in tensors.Where(entry => IsOfKeys(entry.Key)))
            {
                var tokens = $"{TokensPrefix}{name[KeysPrefix.Length..]}";
                Require(tokens, int32, [tensors.GetValueOrDefault(tokens)?.numel() ?? 0]);
                if (keys.dim() != 4 || !keys.is_floating_point() || keys.shape[0] is not (2 or 3))
                {
                    throw new InvalidDataException(
                        $"'{name}' is {keys.dtype} ({string.Join(", ", keys.shape)}); keys are fractions with four axes, the first of 2 or "
                            + "3.");
                }

                if (KeptPositions.FaultOf(NumbersOf(tensors[tokens]), anchors, story.Subjects.Count, keys.shape[1]) is { } fault)
                {
                    throw new InvalidDataException($"'{tokens}' is not that of '{name}': {fault}.");
                }
            }

            for (var anchor = 0; anchor < anchors; anchor++)
            {
                for (var subject = 0; subject < story.Subjects.Count; subject++)
                {
                    var name = MaskName(anchor, subject);
                    if (tensors.TryGetValue(name, out var mask) && (mask.dtype != ScalarType.Bool || mask.dim() != 2 || mask.numel() == 0))
                    {
                        throw new InvalidDataException(
                            $"'{name}' is {mask.dtype} ({string.Join(", ", mask.shape)}); expected Bool (height, width).");
                    }
                }
            }
        }

        void Require(string name, ScalarType type, long[] expected)
        {
            if (!tensors.TryGetValue(name, out var tensor) || tensor.dtype != type || !tensor.shape.SequenceEqual(expected))
            {
                throw new InvalidDataException(
                    $"'{name}' is {(tensor is null ? "missing" : $"{tensor.dtype} ({string.Join(", ", tensor.shape)})")}; expected "
                        + $"{type} ({string.Join(", ", expected)}).");
            }
        }
    }

    private static string Call(KeyAddress address) => string.Create(
        CultureInfo.InvariantCulture,
        $"{address.Step}.{(address.Branch == GuidanceBranch.Conditional ? "conditional" : "unconditional")}.{address.Layer}");
}
