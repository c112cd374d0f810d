using System.Globalization;

namespace StorySync.Diffusion.Weights;

/// <summary>The names of an SD, SDXL or FLUX.1 autoencoder in the code of its authors, whose decoder counts its levels from the
/// image.</summary>
internal static class OriginalAutoencoder
{
    private static readonly (string Name, string Stored)[] OfResnet =
    [
        ("conv_shortcut", "nin_shortcut"),
        ("norm1", "norm1"),
        ("conv1", "conv1"),
        ("norm2", "norm2"),
        ("conv2", "conv2"),
    ];

    private static readonly (string Name, string Stored)[] OfHalf =
    [
        ("conv_in", "conv_in"),
        ("conv_norm_out", "norm_out"),
        ("conv_out", "conv_out"),
        ("mid_block.attentions.0.group_norm", "mid.attn_1.norm"),
        ("mid_block.attentions.0.to_q", "mid.attn_1.q"),
        ("mid_block.attentions.0.to_k", "mid.attn_1.k"),
        ("mid_block.attentions.0.to_v", "mid.attn_1.v"),
        ("mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out"),
        .. OfResnet.Select(part => ($"mid_block.resnets.0.{part.Name}", $"mid.block_1.{part.Stored}")),
        .. OfResnet.Select(part => ($"mid_block.resnets.1.{part.Name}", $"mid.block_2.{part.Stored}")),
    ];

    /// <summary>Returns the names of the autoencoder that a file holds.</summary>
    /// <param name="names">The file's names, without what they all begin with.</param>
    public static NameTable TableOf(IEnumerable<string> names)
    {
        const int MostLevels = 20;
        var levels = names.Select(name => name.Split('.')).Select(parts =>
            parts is ["decoder", "up", var level, ..]
            && int.TryParse(level, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
                ? number + 1 : 0).DefaultIfEmpty().Max();
        return new(Entries(Math.Min(levels, MostLevels)).Select(entry =>
            ($"{entry.Name}.**", $"{entry.Stored}.**", entry.Stored.Contains(".attn_1.", StringComparison.Ordinal)
                && !entry.Stored.EndsWith(".norm", StringComparison.Ordinal) ? TensorForm.Matrix : TensorForm.Whole)));
    }

    private static IEnumerable<(string Name, string Stored)> Entries(int levels) =>
    [
        .. OfHalf.Select(part => ($"encoder.{part.Name}", $"encoder.{part.Stored}")),
        .. OfHalf.Select(part => ($"decoder.{part.Name}", $"decoder.{part.Stored}")),
        .. OfResnet.Select(part => ($"encoder.down_blocks.*.resnets.*.{part.Name}", $"encoder.down.*.block.*.{part.Stored}")),
        ("encoder.down_blocks.*.downsamplers.0.conv", "encoder.down.*.downsample.conv"),
        .. Enumerable.Range(0, levels).SelectMany(level => OfResnet
            .Select(part => ($"decoder.up_blocks.{levels - 1 - level}.resnets.*.{part.Name}", $"decoder.up.{level}.block.*.{part.Stored}"))
            .Append(($"decoder.up_blocks.{levels - 1 - level}.upsamplers.0.conv", $"decoder.up.{level}.upsample.conv"))),
    ];
}
