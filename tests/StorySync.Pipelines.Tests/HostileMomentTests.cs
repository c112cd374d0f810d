using StorySync.Diffusion.Autoencoders;
using StorySync.TestSupport;

namespace StorySync.Pipelines.Tests;

/// <summary>Pipelines that are disposed of, canceled or broken into at odd moments: no run hangs, ends the process or gives another
/// image.</summary>
[Collection(typeof(AloneCollection))]
public sealed class HostileMomentTests
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);
    private static readonly GenerationRequest Cat = new() { Prompts = ["a cat"], Steps = 2, Seed = 1, Height = 64, Width = 64 };
    private static readonly Story Bears = new() { Subjects = ["a bear"], Scenes = [new("a bear standing"), new("a bear waving")] };

    public static TheoryData<string> Models() => ["tiny-sdxl", "tiny-kandinsky3", "tiny-flux"];

    [Theory]
    [MemberData(nameof(Models))]
    public void A_callback_that_throws_ends_its_own_run_alone(string model)
    {
        using var pipeline = LoadedModels.Load(model);
        using var expected = pipeline.Generate(Cat);
        foreach (var stage in Enum.GetValues<GenerationStage>())
        {
            Assert.Throws<TimeZoneNotFoundException>(() => pipeline.Generate(
                Cat with { PreviewInterval = 1 }, new Report(_ => throw new TimeZoneNotFoundException(), stage)));
        }

        Assert.Throws<TimeZoneNotFoundException>(() => pipeline.Generate(Cat with { OnStep = _ => throw new TimeZoneNotFoundException() }));
        Assert.Throws<TimeZoneNotFoundException>(() => pipeline.GenerateStory(
            Bears, new() { Request = Cat with { Prompts = [] }, Anchors = 1, Scorer = _ => throw new TimeZoneNotFoundException() }));
        using var after = pipeline.Generate(Cat);
        TensorAssert.SameBits(expected.Latents, after.Latents);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public async Task A_run_that_is_cancelled_or_disposed_by_its_own_callback_ends(string model)
    {
        using var pipeline = LoadedModels.Load(model);
        foreach (var stage in Enum.GetValues<GenerationStage>().Where(stage => stage != GenerationStage.Done))
        {
            using var source = new CancellationTokenSource();
            var error = Assert.ThrowsAny<OperationCanceledException>(() =>
                pipeline.Generate(Cat, new Report(_ => source.Cancel(), stage), source.Token));
            Assert.Equal(source.Token, error.CancellationToken);
            var refused = Assert.Throws<InvalidOperationException>(() => pipeline.Generate(Cat, new Report(_ => pipeline.Dispose(),
                stage)));
            Assert.Contains("callback", refused.Message, StringComparison.Ordinal);
        }

        // From another thread the callback's own run is cancelled, and waits for nobody.
        Task? disposing = null;
        var run = Task.Run(() => pipeline.Generate(
            Cat with { Steps = 900 }, new Report(_ => disposing ??= Task.Run(pipeline.Dispose), GenerationStage.Denoising)));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => run).WaitAsync(Long, TestContext.Current.CancellationToken);
        await disposing!.WaitAsync(Long, TestContext.Current.CancellationToken);
        pipeline.Dispose();
        Assert.Throws<ObjectDisposedException>(() => pipeline.Generate(Cat));
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void A_token_that_was_cancelled_before_ends_every_call(string model)
    {
        using var pipeline = LoadedModels.Load(model);
        using var bank = pipeline.CreateBank(Bears, new() { Request = Cat with { Prompts = [] } });
        var token = new CancellationToken(canceled: true);
        foreach (var call in (Action[])
        [
            () => pipeline.Generate(Cat, null, token), () => pipeline.GenerateStory(Bears, null, null, token),
            () => pipeline.CreateBank(Bears, null, null, token), () => pipeline.GenerateScenes(bank, Bears.Scenes, null, null, token),
            () => pipeline.PlanTime(Bears, null, null, token), () => pipeline.PlanTime(bank, Bears.Scenes, null, null, token),
        ])
        {
            Assert.Equal(token, Assert.ThrowsAny<OperationCanceledException>(call).CancellationToken);
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Loading_that_is_cancelled_or_broken_into_leaves_nothing(string model)
    {
        var path = ReferenceData.PathOf("models/" + model);
        var options = new PipelineOptions { Device = "cpu" };
        LiveTensors.AssertNoneLeft(() =>
        {
            for (var part = 0; part < 3; part++)
            {
                using var source = new CancellationTokenSource();
                Assert.ThrowsAny<OperationCanceledException>(() => DiffusionPipeline
                    .LoadAsync(path, options, new AtPart(part, source.Cancel), source.Token).GetAwaiter().GetResult());
                Assert.Throws<TimeZoneNotFoundException>(() => DiffusionPipeline
                    .Load(path, options, new AtPart(part, () => throw new TimeZoneNotFoundException())));
            }
        });
    }

    [Theory]
    [MemberData(nameof(Models))]
    public async Task A_pipeline_can_be_disposed_by_the_finalizers_thread_and_by_many_at_the_same_time(string model)
    {
        var pipeline = LoadedModels.Load(model);
        var run = Task.Run(() => pipeline.Generate(Cat with { Steps = 900 }));
        MakeGarbage(pipeline);
        GC.Collect();
        var all = Enumerable.Range(0, 3).Select(_ => Task.Run(pipeline.Dispose)).Append(Task.Run(GC.WaitForPendingFinalizers)).ToList();
        await Task.WhenAll(all).WaitAsync(Long, TestContext.Current.CancellationToken);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => run).WaitAsync(Long, TestContext.Current.CancellationToken);

        static void MakeGarbage(DiffusionPipeline pipeline) => _ = new Owner(pipeline);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void A_decoder_of_previews_for_other_latents_is_refused_when_it_is_set(string model)
    {
        using var pipeline = LoadedModels.Load(model);
        using var decoder = new AutoencoderTiny(new() { LatentChannels = 7 });
        Assert.Contains(
            "from latents of 7", Assert.Throws<ArgumentException>(() => pipeline.PreviewDecoder = decoder).Message,
                StringComparison.Ordinal);
        Assert.Null(pipeline.PreviewDecoder);
    }

    private sealed class Owner(DiffusionPipeline pipeline)
    {
        ~Owner() => pipeline.Dispose();
    }

    private sealed class Report(Action<GenerationProgress> act, GenerationStage onlyAt) : IProgress<GenerationProgress>
    {
        void IProgress<GenerationProgress>.Report(GenerationProgress value)
        {
            if (value.Stage == onlyAt)
            {
                act(value);
            }
        }
    }

    private sealed class AtPart(int part, Action act) : IProgress<LoadProgress>
    {
        public void Report(LoadProgress value)
        {
            if (value.Loaded == part)
            {
                act();
            }
        }
    }
}
