using System.Diagnostics.CodeAnalysis;

namespace StorySync.Diffusion.Weights;

/// <summary>What the tensors of a layout are called in diffusers. In both names <c>*</c> stands for a number, the first in the one for the
/// first in the other, and <c>**</c> at the end for whatever follows.</summary>
internal sealed class NameTable
{
    private readonly List<IGrouping<string, Entry>> byStored;
    private readonly Entry[] entries;

    public NameTable(IEnumerable<(string Name, string Stored, TensorForm Form)> entries)
    {
        this.entries = [.. entries.Select(entry => new Entry(entry.Name.Split('.'), entry.Stored.Split('.'), entry.Form))];
        byStored = [.. this.entries.GroupBy(entry => string.Join('.', entry.Stored), StringComparer.Ordinal)];
    }

    /// <summary>Returns what a stored tensor is in diffusers, several tensors if it was fused; nothing if the table does not know
    /// it.</summary>
    public IEnumerable<(string Name, TensorForm Form)> Translate(string stored)
    {
        var parts = stored.Split('.');
        foreach (var group in byStored)
        {
            if (TryMatch(group.First().Stored, parts, out var found))
            {
                return group.Select(entry => (Fill(entry.Name, found), entry.Form));
            }
        }

        return [];
    }

    /// <summary>Returns the stored names of what a tensor of diffusers is, or is a part of, and which part.</summary>
    public IEnumerable<(string Stored, TensorForm Form)> StoredNames(string name)
    {
        var parts = name.Split('.');
        foreach (var entry in entries)
        {
            if (TryMatch(entry.Name, parts, out var found))
            {
                yield return (Fill(entry.Stored, found), entry.Form);
            }
        }
    }

    private static bool TryMatch(string[] pattern, string[] parts, [NotNullWhen(true)] out List<string>? found)
    {
        found = [];
        for (var i = 0; i < pattern.Length; i++)
        {
            if (pattern[i] == "**")
            {
                found.AddRange(parts[i..]);
                return true;
            }

            if (i >= parts.Length || (pattern[i] == "*" ? !parts[i].All(char.IsAsciiDigit) : pattern[i] != parts[i]))
            {
                return false;
            }

            if (pattern[i] == "*")
            {
                found.Add(parts[i]);
            }
        }

        return pattern.Length == parts.Length;
    }

    private static string Fill(string[] pattern, List<string> found)
    {
        var next = 0;
        return string.Join('.', pattern.SelectMany(part => part switch
        {
            "*" => [found[next++]],
            "**" => found.Skip(next),
            _ => (IEnumerable<string>)[part],
        }));
    }

    private sealed record Entry(string[] Name, string[] Stored, TensorForm Form);
}
