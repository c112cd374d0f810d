using System.Runtime.InteropServices;
using StorySync.Attention;
using static TorchSharp.torch;

namespace StorySync.Pipelines;

/// <summary>A bank of keys as one run reads it, layer by layer.</summary>
/// <param name="bank">The bank.</param>
internal sealed class BankKeys(StoryBank bank) : IKeyBank
{
    // The last ones of each length: layers of one grid have the same, one after the other.
    private readonly Dictionary<int, (int[] Numbers, IReadOnlyList<IReadOnlyList<IReadOnlyList<int>>> Positions)> known = [];

    public void Write(KeyAddress address, KeptKeys keys) => throw new NotSupportedException("A bank that is read is not written to.");

    public KeptKeys? Read(KeyAddress address)
    {
        if (bank.Find(StoryBankFormat.KeysName(address)) is not { } kept)
        {
            return null;
        }

        var parts = kept.unbind();
        return new KeptKeys(
            PositionsOf(bank.Find(StoryBankFormat.TokensName(address))!), parts[0], parts[1],
            parts.Length > 2 ? parts[2].flatten(1) : null);
    }

    private IReadOnlyList<IReadOnlyList<IReadOnlyList<int>>> PositionsOf(Tensor tokens)
    {
        var numbers = MemoryMarshal.Cast<byte, int>(tokens.bytes);
        if (!known.TryGetValue(numbers.Length, out var last) || !numbers.SequenceEqual(last.Numbers))
        {
            known[numbers.Length] = last = (numbers.ToArray(), KeptPositions.Of(numbers));
        }

        return last.Positions;
    }
}
