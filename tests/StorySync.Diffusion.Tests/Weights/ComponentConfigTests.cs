using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;

namespace StorySync.Diffusion.Tests.Weights;

public class ComponentConfigTests
{
    private sealed record Config
    {
        [Range(1, 1024)]
        public int NormNumGroups { get; init; } = 32;

        public double ScalingFactor { get; init; } = 0.18215;

        public double? ShiftFactor { get; init; }

        [AllowedValues("Mid")]
        public string? MidBlockType { get; init; } = "Mid";

        [Range(1, 8192)]
        public IReadOnlyList<int> BlockOutChannels { get; init; } = [320, 640];

        [Range(1, 64)]
        public OneOrMany<int> TransformerLayersPerBlock { get; init; } = 1;

        [AllowedValues("leading", "trailing")]
        public string TimestepSpacing { get; init; } = "leading";

        [JsonPropertyName("_class_name")]
        public string? ClassName { get; init; }

        public Inner? TextConfig { get; init; }

        [Range(0.0, 1.0)]
        public double Dropout { get; init; }

        public bool UseLinear { get; init; } = true;

        public OneOrMany<bool> Crosses { get; init; } = true;

        [Unsupported]
        public object? Adapter { get; init; }
    }

    private sealed record Inner
    {
        [Range(1, 100)]
        public int HiddenSize { get; init; } = 8;
    }

    private static Config Read(string json)
    {
        using var folder = new TemporaryFolder();
        return ComponentConfig.Read<Config>(folder.Write("config.json", json));
    }

    private static string Error(string json) => Assert.Throws<ModelFileException>(() => Read(json)).Message;

    [Fact]
    public void The_place_in_the_reader_is_no_part_of_a_message() =>
        Assert.DoesNotContain("Path:", Error("""{"norm_num_groups": "8"}"""), StringComparison.Ordinal);

    [Fact]
    public void Entries_are_read_under_their_Python_names_and_unknown_ones_passed_over()
    {
        var config = Read("""
            {"_class_name": "UNet", "norm_num_groups": 8, "block_out_channels": [16, 24], "transformer_layers_per_block": [1, 2],
             "shift_factor": 0.1159, "unknown": {"a": [null, 1]}, "text_config": {"hidden_size": 5, "more": null}, "timestep_spacing": "trailing"}
            """);
        Assert.Equal("UNet", config.ClassName);
        Assert.Equal(8, config.NormNumGroups);
        Assert.Equal([16, 24], config.BlockOutChannels);
        Assert.Equal([1, 2], config.TransformerLayersPerBlock.For(2));
        Assert.Equal(0.1159, config.ShiftFactor);
        Assert.Equal(5, config.TextConfig!.HiddenSize);
        Assert.Equal("trailing", config.TimestepSpacing);
    }

    [Fact]
    public void Null_is_false_to_Python_where_a_truth_value_is_asked()
    {
        var config = Read("""{"use_linear": null, "crosses": null}""");
        Assert.False(config.UseLinear);
        Assert.Equal([false], config.Crosses.For(1));
        Assert.True(Read("{}").UseLinear);
        Assert.Equal([true], Read("{}").Crosses.For(1));
    }

    [Fact]
    public void Null_in_a_part_has_the_part_s_default() =>
        Assert.Equal(8, Read("""{"text_config": {"hidden_size": null}}""").TextConfig!.HiddenSize);

    [Fact]
    public void What_is_not_supported_must_be_missing_or_null()
    {
        Assert.Null(Read("""{"adapter": null}""").Adapter);
        Assert.Contains("models with 'adapter' are not supported", Error("""{"adapter": 1}"""), StringComparison.Ordinal);
    }

    [Fact]
    public void What_differs_from_the_defaults_is_written_as_it_is_read()
    {
        Assert.Equal("{}", ComponentConfig.WithoutDefaults(new Config()).ToJsonString());
        Assert.Equal(
            """{"norm_num_groups":8,"transformer_layers_per_block":[1,2],"crosses":false}""",
            ComponentConfig.WithoutDefaults(
                new Config { NormNumGroups = 8, TransformerLayersPerBlock = new[] { 1, 2 }, Crosses = false }).ToJsonString());
    }

    [Fact]
    public void One_value_is_not_a_list_of_one()
    {
        OneOrMany<int> one = 1, other = 2, list = new[] { 1 };
        Assert.True(one == 1 && one != other && one != list && list == new[] { 1 });
        Assert.False(one != 1 || one == other || one == list || list == new[] { 2 });
    }

    [Fact]
    public void Null_is_kept_where_the_property_allows_it()
    {
        Assert.Null(Read("""{"mid_block_type": null}""").MidBlockType);
        Assert.Equal("Mid", Read("{}").MidBlockType);
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"norm_num_groups": null, "scaling_factor": null, "shift_factor": null, "block_out_channels": null, "transformer_layers_per_block": null, "text_config": null}""")]
    public void What_is_missing_or_null_has_its_default(string json)
    {
        var config = Read(json);
        Assert.Equal(32, config.NormNumGroups);
        Assert.Equal(0.18215, config.ScalingFactor);
        Assert.Null(config.ShiftFactor);
        Assert.Equal([320, 640], config.BlockOutChannels);
        Assert.Equal([1, 1, 1], config.TransformerLayersPerBlock.For(3));
    }

    [Theory]
    [InlineData("""{"norm_num_groups": 0}""", "'norm_num_groups' is 0; it must be from 1 to 1024")]
    [InlineData("""{"norm_num_groups": "8"}""", "'norm_num_groups' is \"8\"")]
    [InlineData("""{"norm_num_groups": 99999999999}""", "'norm_num_groups' is 99999999999")]
    [InlineData("""{"norm_num_groups": 1.5}""", "'norm_num_groups' is 1.5")]
    [InlineData("""{"block_out_channels": [16, -4]}""", "'block_out_channels' is -4; it must be from 1 to 8192")]
    [InlineData("""{"block_out_channels": [16, null]}""", "'block_out_channels")]
    [InlineData("""{"block_out_channels": 16}""", "'block_out_channels' is 16")]
    [InlineData("""{"transformer_layers_per_block": 65}""", "'transformer_layers_per_block' is 65")]
    [InlineData("""{"transformer_layers_per_block": [1, 0]}""", "'transformer_layers_per_block' is 0")]
    [InlineData("""{"transformer_layers_per_block": [[1]]}""", "'transformer_layers_per_block")]
    [InlineData("""{"timestep_spacing": "leadin"}""", "'timestep_spacing' is leadin; it must be one of leading, trailing")]
    [InlineData("""{"text_config": {"hidden_size": 101}}""", "'text_config.hidden_size' is 101; it must be from 1 to 100")]
    [InlineData("""{"dropout": 1.4}""", "'dropout' is 1.4; it must be from 0 to 1")]
    [InlineData("""{"dropout": 1e400}""", "'dropout'")]
    [InlineData("""{"norm_num_groups": 8, "norm_num_groups": 9}""", "norm_num_groups")]
    [InlineData("""{"norm_num_groups": }""", "no valid JSON")]
    [InlineData("[]", "JSON object")]
    [InlineData("", "no valid JSON")]
    [InlineData("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 100\n", "Git LFS")]
    [InlineData("<html></html>", "web page")]
    public void What_is_wrong_is_named_with_its_file(string json, string message)
    {
        var error = Error(json);
        Assert.Contains("config.json: ", error, StringComparison.Ordinal);
        Assert.Contains(message, error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_byte_order_mark_is_no_fault() => Assert.Equal(4, Read("\ufeff{\"norm_num_groups\": 4}").NormNumGroups);

    [Fact]
    public void One_or_many_counts_its_blocks()
    {
        OneOrMany<int> one = 3, many = new[] { 1, 2 };
        Assert.Equal(3, one[7]);
        Assert.Equal(2, many[1]);
        Assert.Contains("2 entries; there are 3 blocks", Assert.Throws<ArgumentException>(() => many.For(3)).Message,
            StringComparison.Ordinal);
        Assert.NotEqual(one, many);
        Assert.Equal(many, new[] { 1, 2 });
    }
}
