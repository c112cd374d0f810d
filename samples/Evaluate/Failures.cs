namespace StorySync.Samples.Evaluate;

/// <summary>Turns what can go wrong into a message and an exit code.</summary>
internal static class Failures
{
    public static int Guarded(Action run) => GuardedAsync(() =>
    {
        run();
        return Task.CompletedTask;
    }).GetAwaiter().GetResult();

    public static async Task<int> GuardedAsync(Func<Task> run)
    {
        try
        {
            await run();
            return 0;
        }
        catch (OperationCanceledException)
        {
            Console.Error.WriteLine("Cancelled; the stories that are finished stay, and the same command goes on from there.");
            return 130;
        }
        catch (Exception exception) when (exception is ArgumentException or IOException or InvalidDataException or UnauthorizedAccessException or NotSupportedException)
        {
            Console.Error.WriteLine(exception.Message);
            return 1;
        }
    }
}
