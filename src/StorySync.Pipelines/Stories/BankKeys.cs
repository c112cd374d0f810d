using StorySync.Attention;
using StorySync.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>A bank of keys as one run reads it, layer by layer.</summary>
/// <param name="bank">The bank.</param>
/// <param name="device">Where the run is.</param>
internal sealed class BankKeys(StoryBank bank, Device device) : IKeyBank, IDisposable
{
    // On a device: what was sent last of each guidance half. Sharing and harmonization read the same in turn.
    private readonly Dictionary<GuidanceBranch, (KeyAddress Address, Tensor Keys)> sent = [];

    // The last ones of each length: layers of one grid have the same, one after the other.
    private readonly Dictionary<int, (int[] Numbers, IReadOnlyList<IReadOnlyList<IReadOnlyList<int>>> Positions)> known = [];

    public void Write(KeyAddress address, KeptKeys keys) => throw new NotSupportedException("A bank that is read is not written to.");

    public KeptKeys? Read(KeyAddress address)
    {
        if (bank.Find(StoryBankFormat.KeysName(address)) is not { } kept)
        {
            return null;
        }

        var parts = OnDevice(address, kept).unbind();
        return new KeptKeys(
            PositionsOf(bank.Find(StoryBankFormat.TokensName(address))!), parts[0], parts[1],
            parts.Length > 2 ? parts[2].flatten(1) : null);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (_, keys) in sent.Values)
        {
            keys.Dispose();
        }

        sent.Clear();
    }

    private Tensor OnDevice(KeyAddress address, Tensor kept)
    {
        if (device.type == DeviceType.CPU)
        {
            return kept;
        }

        if (!sent.TryGetValue(address.Branch, out var last) || last.Address != address)
        {
            last.Keys?.Dispose();
            sent[address.Branch] = last = (address, DeviceTransfer.Send(kept, device).DetachFromDisposeScope());
        }

        return last.Keys;
    }

    private IReadOnlyList<IReadOnlyList<IReadOnlyList<int>>> PositionsOf(Tensor tokens)
    {
        var numbers = StoryBankFormat.NumbersOf(tokens);
        if (!known.TryGetValue(numbers.Length, out var last) || !numbers.SequenceEqual(last.Numbers))
        {
            known[numbers.Length] = last = (numbers.ToArray(), KeptPositions.Of(numbers));
        }

        return last.Positions;
    }
}
