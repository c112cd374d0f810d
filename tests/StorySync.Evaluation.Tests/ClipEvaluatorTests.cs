using StorySync.Pipelines;

namespace StorySync.Evaluation.Tests;

public class ClipEvaluatorTests
{
    private static readonly RgbImage Image = new(8, 8, new byte[8 * 8 * 3]);

    public static TheoryData<string, Action<ClipEvaluator>> Members() => new()
    {
        { "EmbedImages", clip => clip.EmbedImages([Image]) },
        { "EmbedTexts", clip => clip.EmbedTexts(["a cat"]) },
        { "EmbedPatches", clip => clip.EmbedPatches([Image]) },
    };

    [Theory]
    [MemberData(nameof(Members), DisableDiscoveryEnumeration = true)]
    public async Task Disposed_of_while_another_thread_uses_it_it_ends_between_two_calls(string member, Action<ClipEvaluator> use)
    {
        for (var i = 0; i < 3; i++)
        {
            var clip = ClipEvaluator.Load();
            var used = new TaskCompletionSource();
            var uses = Task.Run(() =>
            {
                while (true)
                {
                    use(clip);
                    used.TrySetResult();
                }
            });
            await (await Task.WhenAny(used.Task, uses));
            clip.Dispose();

            await Assert.ThrowsAsync<ObjectDisposedException>(() => uses);
            var error = Assert.Throws<ObjectDisposedException>(() => use(clip));
            Assert.True(error.ObjectName == typeof(ClipEvaluator).FullName, $"{member}: {error.ObjectName}");
        }
    }
}
