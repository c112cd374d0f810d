using StorySync.Attention;
using StorySync.Kernels;
using StorySync.TestSupport;
using TorchSharp;

namespace StorySync.Pipelines.Tests;

/// <summary>What a step asks of a device, counted without one: in bfloat16 libtorch's operators compute on the CPU, as on a device, and not
/// the library's own kernels.</summary>
public sealed class StepCostTests(ITestOutputHelper output)
{
    // What sharing and harmonization launch in a layer that mixes image tokens, for a batch of subjects; what reading the words' maps does
    // in any layer; and what new masks cost a step, most of which is work on the host.
    private const int ForSharing = 25;
    private const int ForMaps = 2;
    private const int ForMasks = 150;

    // The unmodified branch, with twice the rows, runs in the first 30 % of the steps.
    private const int Steps = 6;
    private const int FirstWithoutBase = 2;

    private static readonly Story Bears = new()
    {
        Subjects = ["a bear"],
        Scenes = [new("a bear standing in the forest"), new("a bear waving at the beach"), new("a bear in the snow")],
    };

    private static readonly Story BearsWithBalls = new()
    {
        Subjects = ["a bear", "a red ball"],
        Scenes = [.. Bears.Scenes.Select(scene => scene with { Prompt = scene.Prompt + " with a red ball", Location = "a place" })],
    };

    private static readonly GenerationRequest Quick = new() { Steps = Steps, GuidanceScale = 4, Seed = 5, Height = 128, Width = 128 };

    public static TheoryData<string> Models() => ["storybook", "tiny-sdxl", "tiny-kandinsky3", "tiny-flux"];

    [Theory]
    [MemberData(nameof(Models))]
    public void A_story_adds_few_launches_and_no_waits_to_a_step(string model)
    {
        using var pipeline = Load(model);
        var plain = Count(pipeline, "plain", request => pipeline.Generate(
            request with { Prompts = [.. Bears.Scenes.Select(scene => scene.Prompt)] }).Dispose());

        // A scheduler that draws noise has it from the host, whose numbers are the same on every device.
        Assert.All(plain.Skip(1), step => Assert.Equal((0, 0), (step.Fetched, step.Waited.Count)));
        Assert.All(plain.Skip(1), step => Assert.InRange(step.Sent, 0, pipeline is Kandinsky3Pipeline ? 1 : 0));

        Check("story", request => pipeline.GenerateStory(Bears, new() { Request = request }).Dispose());
        Check(
            "two subjects and a place", request => pipeline.GenerateStory(BearsWithBalls, new() { Request = request }).Dispose(),
            batches: 2);

        void Check(string name, Action<GenerationRequest> run, int batches = 1)
        {
            var story = Count(pipeline, name, run);
            var layers = pipeline.AttentionProcessors.Layers.ToList();
            var most = ForMasks + (layers.Count * ForMaps)
                + (layers.Count(layer => layer.Kind != AttentionKind.Cross) * batches * ForSharing);
            var grids = pipeline is FluxPipeline ? 1 : 4;
            foreach (var (own, without) in story.Zip(plain).Skip(1))
            {
                // Once the maps, for the masks; for each grid the indices of both techniques and what sharing adds to the logits.
                Assert.Equal((1, 0), (own.Fetched, own.Waited.Count));
                Assert.InRange(own.Sent, 0, without.Sent + 1 + (3 * grids));
            }

            Assert.All(story.Zip(plain).Skip(FirstWithoutBase), step =>
                Assert.InRange(step.First.Launches - step.Second.Launches, 0, most));
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Scenes_that_read_a_bank_wait_for_nothing(string model)
    {
        using var pipeline = Load(model);
        foreach (var form in Enum.GetValues<StoryBankForm>())
        {
            using var bank = pipeline.CreateBank(Bears, new() { Request = Quick, BankForm = form });
            var steps = Count(pipeline, $"bank of {form}", request =>
                pipeline.GenerateScenes(bank, Bears.Scenes, new() { Request = request }).Dispose());

            // The masks of a trajectory's anchors lie on the host.
            Assert.All(steps.Skip(1), step => Assert.Equal(
                (form == StoryBankForm.Trajectory ? 1 + bank.Anchors : 1, 0), (step.Fetched, step.Waited.Count)));
        }
    }

    [Fact]
    public void Images_that_are_changed_wait_for_nothing()
    {
        using var pipeline = Load("storybook");
        var picture = new RgbImage(128, 128, [.. Enumerable.Range(0, 3 * 128 * 128).Select(i => (byte)(i * 7 % 251))]);
        var steps = Count(pipeline, "painting", request => pipeline.Generate(
            request with { Prompts = ["a bear"], Images = [picture], Mask = picture, Strength = 1 }).Dispose());

        Assert.All(steps.Skip(1), step => Assert.Equal((0, 0, 0), (step.Sent, step.Fetched, step.Waited.Count)));
    }

    private static DiffusionPipeline Load(string model) => DiffusionPipeline.Load(
        model == "storybook" ? model : ReferenceData.PathOf("models/" + model),
        new() { Device = "cpu", Dtype = torch.ScalarType.BFloat16 });

    private List<Cost> Count(DiffusionPipeline pipeline, string name, Action<GenerationRequest> run)
    {
        using var counter = new OperatorCounter();
        var costs = new List<Cost>();
        var (sent, fetched) = (DeviceTransfer.Sent, DeviceTransfer.Fetched);
        run(Quick with
        {
            OnStep = _ =>
            {
                var (launched, waited) = counter.Take();

                // On the CPU one for each image.
                var launches = launched.Count(name => name is not ("aten::silu" or "aten::silu_"));
                costs.Add(new(launches, waited, DeviceTransfer.Sent - sent, DeviceTransfer.Fetched - fetched));
                (sent, fetched) = (DeviceTransfer.Sent, DeviceTransfer.Fetched);
            },
        });
        output.WriteLine(
            $"{pipeline.ModelName}, {name}: " + string.Join(" | ", costs.Select(cost =>
                $"{cost.Launches} launches, {cost.Sent} sent, {cost.Fetched} fetched, {cost.Waited.Count} waits")));
        return costs;
    }

    private sealed record Cost(int Launches, IReadOnlyList<string> Waited, int Sent, int Fetched);
}
