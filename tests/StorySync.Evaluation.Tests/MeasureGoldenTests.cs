using System.Security.Cryptography;
using System.Text.Json;
using StorySync.Pipelines;

namespace StorySync.Evaluation.Tests;

/// <summary>Against the same formulas computed by transformers, PyTorch, NumPy and Pillow; see Golden/README.md.</summary>
public sealed class MeasureGoldenTests : IDisposable
{
    private static readonly string Model = Path.Combine(AppContext.BaseDirectory, "models", "storybook");

    private readonly JsonElement golden =
        JsonDocument.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Golden", "measures.json"))).RootElement;

    private readonly ClipEvaluator clip = ClipEvaluator.Load();

    public MeasureGoldenTests()
    {
        var weights = SHA256.HashData(File.ReadAllBytes(Path.Combine(Model, "clip", "model.safetensors")));
        Assert.True(
            golden.GetProperty("weights_sha256").GetString() == Convert.ToHexStringLower(weights),
            "measures.json belongs to other weights: run Golden/make_golden.py again.");
    }

    private EvaluatedScene[] Scenes =>
    [
        .. Strings("images").Zip(Strings("prompts"), golden.GetProperty("masks").EnumerateArray()).Select(scene => new EvaluatedScene(
            scene.Second,
            RgbImage.Load(Path.Combine(Model, "goldens", scene.First)),
            [Regions.Of([.. scene.Third.EnumerateArray().Select(row => row.GetString()!)])])),
    ];

    [Fact]
    public void All_measures_of_a_story_are_those_of_the_reference()
    {
        var measures = new StoryEvaluator(clip).Measure(Scenes);
        Assert.Equal(Number("clip_i"), measures.ClipI!.Value, Tolerance);
        Assert.Equal(Number("clip_i_image"), measures.ClipIImage!.Value, Tolerance);
        Assert.Equal(Number("clip_i_crop"), measures.ClipICrop!.Value, Tolerance);
        Assert.Equal(Number("clip_t"), measures.ClipT, Tolerance);
        Assert.Equal(Number("clip_t_cosine"), measures.ClipTCosine, Tolerance);
        Assert.Equal(Number("patches"), measures.Patches!.Value, Tolerance);
        Assert.Equal(Number("color"), measures.Color!.Value, 1e-9);
        Assert.Equal(Number("layout"), measures.Layout!.Value, 1e-12);
        Assert.Equal(Number("area"), measures.Area!.Value, 1e-12);
        Assert.Null(measures.LayoutKept);
    }

    [Fact]
    public void Each_image_is_compared_with_its_own_prompt()
    {
        var images = clip.EmbedImages([.. Scenes.Select(scene => scene.Image)]);
        var texts = clip.EmbedTexts([.. Scenes.Select(scene => scene.Prompt)]);
        Assert.Equal(Numbers(golden.GetProperty("cosines")), images.Zip(texts, ClipT.Cosine), (a, b) => Math.Abs(a - b) < Tolerance);
    }

    [Fact]
    public void Mean_colors_are_those_of_the_reference() => Assert.All(
        Scenes.Zip(golden.GetProperty("colors").EnumerateArray()),
        scene =>
        {
            var (red, green, blue) = SubjectColor.Mean(scene.First.Image, scene.First.Subjects[0]!);
            Assert.Equal(Numbers(scene.Second), [red, green, blue], (a, b) => Math.Abs(a - b) < 1e-9);
        });

    [Fact]
    public void Overlaps_of_masks_are_those_of_the_reference()
    {
        var regions = Scenes.Select(scene => scene.Subjects[0]!).ToArray();
        var ious = from i in Enumerable.Range(0, regions.Length)
                   from j in Enumerable.Range(i + 1, regions.Length - i - 1)
                   select Layout.Iou(regions[i], regions[j]);
        Assert.Equal(Numbers(golden.GetProperty("ious")), ious, (a, b) => Math.Abs(a - b) < 1e-12);
    }

    [Fact]
    public void A_folder_of_clip_alone_is_the_same_evaluator()
    {
        using var other = ClipEvaluator.Load(Path.Combine(Model, "clip"));
        Assert.Equal(clip.EmbedTexts(["a bear"])[0], other.EmbedTexts(["a bear"])[0]);
    }

    public void Dispose() => clip.Dispose();

    private static double[] Numbers(JsonElement array) => [.. array.EnumerateArray().Select(number => number.GetDouble())];

    private double Tolerance => Number("tolerance");

    private double Number(string name) => golden.GetProperty(name).GetDouble();

    private string[] Strings(string name) => [.. golden.GetProperty(name).EnumerateArray().Select(text => text.GetString()!)];
}
