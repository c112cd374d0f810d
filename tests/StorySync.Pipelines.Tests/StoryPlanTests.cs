using StorySync.Attention;
using TorchSharp;

namespace StorySync.Pipelines.Tests;

/// <summary>What stories with anchors will take, told before they are made.</summary>
public sealed class StoryPlanTests
{
    private static readonly Story Bears = new()
    {
        Subjects = ["a bear"],
        Scenes = [.. Enumerable.Range(0, 7).Select(i => new Scene($"a bear in place {i}"))],
    };

    private static readonly GenerationRequest Quick = new() { Steps = 4, GuidanceScale = 4, Seed = 5, Height = 128, Width = 128 };

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_banks_bytes_are_known_before_it_is_made(int anchors)
    {
        using var pipeline = Load();
        var story = Bears with { Scenes = [.. Bears.Scenes.Take(anchors)] };
        var planned = pipeline.PlanMemory(story, new() { Request = Quick, Anchors = anchors });
        using var bank = pipeline.CreateBank(story, new() { Request = Quick });

        // A file of a picture is smaller than its pixels; all else is there to the byte, but for masks, which are small.
        long portraits = bank.Portraits.Sum(portrait => portrait.EncodePng().Length);
        var pixels = anchors * 3L * 128 * 128;
        Assert.InRange(bank.Bytes - portraits, (planned.BankBytes - pixels) * 0.8, planned.BankBytes - pixels);
        Assert.InRange(bank.Bytes, 1, planned.BankBytes);
        Assert.Contains("bank:", planned.ToString(), StringComparison.Ordinal);
        Assert.Equal(0, pipeline.PlanMemory(story, new() { Request = Quick }).BankBytes);
    }

    /// <summary>A UNet rounds the sides of its lower levels up.</summary>
    [Theory]
    [InlineData(72, 64)]
    [InlineData(120, 88)]
    public void Keys_of_subjects_that_fill_their_images_are_known_to_the_byte_at_odd_sizes(int width, int height)
    {
        using var pipeline = LoadedModels.Load("tiny-sdxl");
        Subject bear = "a bear";
        var white = new RgbImage(width, height, [.. Enumerable.Repeat(byte.MaxValue, 3 * width * height)]);
        var story = Bears with { Scenes = [.. Bears.Scenes.Take(2).Select(scene => scene with { Subjects = [bear.At(white)] })] };
        var options = new StoryOptions { Request = Quick with { Height = height, Width = width }, BankForm = StoryBankForm.Keys };
        var planned = pipeline.PlanMemory(story, options with { Anchors = 2 }).BankBytes;
        using var bank = pipeline.CreateBank(story, options);

        // But for the images' files, the masks, and what says how many places follow.
        Assert.InRange(bank.Bytes, planned * 0.98, planned * 1.02);
    }

    [Fact]
    public void Scenes_of_a_bank_take_what_their_largest_batch_takes_with_the_anchors()
    {
        using var pipeline = Load();
        using var bank = pipeline.CreateBank(Bears with { Scenes = [.. Bears.Scenes.Take(2)] }, new() { Request = Quick });
        var planned = pipeline.PlanMemory(bank, [.. Bears.Scenes.Skip(2)], new() { BatchSize = 3 });
        var whole = pipeline.PlanMemory(Bears, new() { Request = Quick, Anchors = 2, BatchSize = 3 });
        var batch = pipeline.PlanMemory(Bears with { Scenes = [.. Bears.Scenes.Take(5)] }, new() { Request = Quick });

        Assert.Equal(batch.PeakBytes, planned.PeakBytes);
        Assert.Equal(batch.PeakBytes, whole.PeakBytes);
        Assert.True(planned.PeakBytes > pipeline.PlanMemory(bank, [Bears.Scenes[2]]).PeakBytes);
    }

    [Fact]
    public void Time_is_that_of_one_step_for_all_rows()
    {
        using var pipeline = Load();
        var calls = new List<int>();
        var request = Quick with { AttentionProcessor = new Watch(calls) };

        // Two halves, an unmodified branch in the first half of the steps: 4 + 4 + 2 + 2 rows for each scene.
        var options = new StoryOptions { Request = request, Techniques = new() { Layout = new() { Until = 0.5 } } };
        var plan = pipeline.PlanTime(Bears, options, new Clock());
        Assert.Equal([0, 1], calls.Distinct());
        Assert.Equal((7, TimeSpan.FromSeconds(1), 28L, 84L), (plan.Scenes, plan.Step, plan.StepRows, plan.Rows));
        Assert.Equal(TimeSpan.FromSeconds(3), plan.Total);
        Assert.Equal(TimeSpan.FromSeconds(3) / 7, plan.PerScene);
        Assert.Equal(1, plan.StepsPerSecond);

        // Two anchors, then three batches of two, two and one scenes with the anchors.
        plan = pipeline.PlanTime(Bears, options with { Anchors = 2, BatchSize = 2 }, new Clock());
        Assert.Equal((7, 16L, 12L * (2 + 4 + 4 + 3)), (plan.Scenes, plan.StepRows, plan.Rows));

        // The anchors alone; one has no unmodified branch.
        plan = pipeline.PlanTime(Bears with { Scenes = [Bears.Scenes[0]] }, options with { Anchors = 1 }, new Clock());
        Assert.Equal((1, 2L, 8L), (plan.Scenes, plan.StepRows, plan.Rows));

        using var bank = pipeline.CreateBank(Bears with { Scenes = [.. Bears.Scenes.Take(2)] }, options);
        calls.Clear();
        plan = pipeline.PlanTime(
            bank, [.. Bears.Scenes.Skip(2)], new() { BatchSize = 3, Request = new() { AttentionProcessor = new Watch(calls) } },
            new Clock());
        Assert.Equal([0, 1], calls.Distinct());
        Assert.Equal((5, 20L, 12L * (5 + 4)), (plan.Scenes, plan.StepRows, plan.Rows));
    }

    [Fact]
    public void A_single_step_is_measured_too()
    {
        using var pipeline = Load();
        var plan = pipeline.PlanTime(Bears, new() { Request = Quick with { Steps = 1 } }, new Clock());
        Assert.Equal(plan.Step, plan.Total);
        Assert.Equal(TimeSpan.FromSeconds(1), plan.Step);
    }

    private static DiffusionPipeline Load() => DiffusionPipeline.Load("storybook", new PipelineOptions { Device = "cpu" });

    /// <summary>Goes on by a second each time that it is looked at.</summary>
    private sealed class Clock : TimeProvider
    {
        private long seconds;

        public override long TimestampFrequency => 1;

        public override long GetTimestamp() => seconds++;
    }

    /// <summary>Notes the steps of all calls.</summary>
    private sealed class Watch(List<int> steps) : IAttentionProcessor
    {
        public torch.Tensor Attend(AttentionLayer layer, AttentionInputs inputs, AttentionContext context)
        {
            steps.Add(context.Step);
            return PlainAttention.Instance.Attend(layer, inputs, context);
        }
    }
}
