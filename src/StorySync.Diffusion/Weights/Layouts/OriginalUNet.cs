using System.Globalization;

namespace StorySync.Diffusion.Weights;

/// <summary>The names of an SD or SDXL UNet in Stability's own code, which counts the layers of all levels through: the first convolution
/// is input block 0, each resnet with its transformer is a block, and so is each downsampler; an upsampler belongs to the last block of its
/// level.</summary>
internal static class OriginalUNet
{
    private static readonly (string Name, string Stored)[] Outside =
    [
        ("time_embedding.linear_1", "time_embed.0"),
        ("time_embedding.linear_2", "time_embed.2"),
        ("add_embedding.linear_1", "label_emb.0.0"),
        ("add_embedding.linear_2", "label_emb.0.2"),
        ("conv_in", "input_blocks.0.0"),
        ("conv_norm_out", "out.0"),
        ("conv_out", "out.2"),
    ];

    private static readonly (string Name, string Stored)[] OfResnet =
    [
        ("norm1", "in_layers.0"),
        ("conv1", "in_layers.2"),
        ("time_emb_proj", "emb_layers.1"),
        ("norm2", "out_layers.0"),
        ("conv2", "out_layers.3"),
        ("conv_shortcut", "skip_connection"),
    ];

    /// <summary>Returns the names of a UNet of so many levels and resnets of a level.</summary>
    public static NameTable Table(int levels, int resnets) => new(
        Outside.Concat(Blocks(levels, resnets)).Select(entry => ($"{entry.Name}.**", $"{entry.Stored}.**", TensorForm.Whole)));

    /// <summary>Returns the names of the UNet that a file holds.</summary>
    /// <param name="names">The file's names, without what they all begin with.</param>
    public static NameTable TableOf(IEnumerable<string> names)
    {
        var blocks = names.Where(name => name.StartsWith("input_blocks.", StringComparison.Ordinal)).Select(name => name.Split('.'))
            .Where(parts => parts.Length > 3 && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out _))
            .Select(parts => (Index: int.Parse(parts[1], CultureInfo.InvariantCulture), IsDownsampler: parts[3] == "op"))
            .Distinct().ToList();

        // No model comes near this; it keeps a damaged name from filling the memory.
        const int MostBlocks = 100;
        var last = Math.Min(blocks.Select(block => block.Index).DefaultIfEmpty().Max(), MostBlocks);
        var samplers = blocks.Where(block => block.IsDownsampler).Select(block => block.Index);
        var block = Math.Min(samplers.DefaultIfEmpty(last + 1).Min(), last + 1);
        return block < 2 ? Table(0, 0) : Table((last / block) + 1, block - 1);
    }

    private static List<(string Name, string Stored)> Blocks(int levels, int resnets)
    {
        var blocks = new List<(string Name, string Stored)>();
        for (var level = 0; level < levels; level++)
        {
            for (var i = 0; i < resnets; i++)
            {
                Block($"down_blocks.{level}", i, $"input_blocks.{1 + (level * (resnets + 1)) + i}");
            }

            blocks.Add(($"down_blocks.{level}.downsamplers.0.conv", $"input_blocks.{(level + 1) * (resnets + 1)}.0.op"));

            // In a level without attention the upsampler is the second of its block.
            var last = (level * (resnets + 1)) + resnets;
            blocks.Add(($"up_blocks.{level}.upsamplers.0.conv", $"output_blocks.{last}.2.conv"));
            blocks.Add(($"up_blocks.{level}.upsamplers.0.conv", $"output_blocks.{last}.1.conv"));
            for (var i = 0; i <= resnets; i++)
            {
                Block($"up_blocks.{level}", i, $"output_blocks.{(level * (resnets + 1)) + i}");
            }
        }

        blocks.AddRange(OfResnet.Select(part => ($"mid_block.resnets.0.{part.Name}", $"middle_block.0.{part.Stored}")));
        blocks.Add(("mid_block.attentions.0", "middle_block.1"));
        blocks.AddRange(OfResnet.Select(part => ($"mid_block.resnets.1.{part.Name}", $"middle_block.2.{part.Stored}")));
        return blocks;

        void Block(string name, int index, string stored)
        {
            blocks.AddRange(OfResnet.Select(part => ($"{name}.resnets.{index}.{part.Name}", $"{stored}.0.{part.Stored}")));
            blocks.Add(($"{name}.attentions.{index}", $"{stored}.1"));
        }
    }
}
