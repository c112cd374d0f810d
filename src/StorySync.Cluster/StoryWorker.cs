using System.Diagnostics;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using StorySync.Diffusion.Weights;
using StorySync.Extensions;
using StorySync.Pipelines;

namespace StorySync.Cluster;

/// <summary>Draws on one model, one job at a time, off the threads of grains' calls.</summary>
internal sealed class StoryWorker(StorySyncModel model, IGrainFactory grains, StoryFiles files, ILogger logger) : IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    private readonly string name = Guid.NewGuid().ToString("N");
    private readonly IQueueGrain queue = grains.GetGrain<IQueueGrain>(model.Name);
    private readonly BankShelf banks = new();

    public void Dispose() => banks.Dispose();

    public async Task RunAsync(CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested)
        {
            try
            {
                if (await queue.TakeAsync(name, stopping).ConfigureAwait(false) is { } job)
                {
                    await RunAsync(job, stopping).ConfigureAwait(false);
                }
            }
            catch (Exception exception) when (!stopping.IsCancellationRequested)
            {
                Log.Unreachable(logger, exception);
                await Task.Delay(Pause, CancellationToken.None).ConfigureAwait(false);
            }
            catch (Exception)
            {
                // The process ends; whatever of this has not reached the cluster is made good by its timeouts.
            }
        }
    }

    private async Task RunAsync(QueuedJob job, CancellationToken stopping)
    {
        var story = grains.GetGrain<IStoryGrain>(job.Story);
        var (isAgain, secondsPerScene) = (true, default(double?));
        using var leaving = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        var renewing = RenewAsync(job, leaving);
        try
        {
            if (await story.BeginAsync(job.Number).ConfigureAwait(false) is { } order)
            {
                Log.Begins(logger, job.Story, job.Number);
                var begun = Stopwatch.GetTimestamp();
                var drawn = await DrawAsync(job, order, story, leaving.Token).ConfigureAwait(false);
                secondsPerScene = Stopwatch.GetElapsedTime(begun).TotalSeconds / drawn.Length;
                await InsistAsync(() => story.CompleteAsync(job.Number, drawn), leaving.Token).ConfigureAwait(false);
            }

            isAgain = false;
        }
        catch (Exception) when (stopping.IsCancellationRequested)
        {
            await story.ReturnAsync(job.Number).ConfigureAwait(false);
        }
        catch (Exception) when (leaving.IsCancellationRequested)
        {
            Log.Left(logger, job.Story, job.Number);
        }
        catch (Exception exception)
        {
            Log.Fails(logger, exception, job.Story, job.Number);
            var isFinal = exception is ArgumentException or NotSupportedException or ModelFileException;
            await story.FailAsync(job.Number, exception.Message, isFinal).ConfigureAwait(false);
            await Task.Delay(Pause, CancellationToken.None).ConfigureAwait(false);
        }
        finally
        {
            await leaving.CancelAsync().ConfigureAwait(false);
            await renewing.ConfigureAwait(false);
            await queue.ReleaseAsync(name, job, isAgain, secondsPerScene).ConfigureAwait(false);
        }
    }

    /// <summary>Tells the queue that the worker is at its job, until one of the two leaves it.</summary>
    private async Task RenewAsync(QueuedJob job, CancellationTokenSource leaving)
    {
        while (!leaving.IsCancellationRequested)
        {
            try
            {
                if (!await queue.RenewAsync(name, job, leaving.Token).ConfigureAwait(false))
                {
                    await leaving.CancelAsync().ConfigureAwait(false);
                }
            }
            catch (Exception exception) when (!leaving.IsCancellationRequested)
            {
                // The drawing goes on: the queue may be on its way to another silo.
                Log.Unreachable(logger, exception);
                await Task.Delay(Pause, CancellationToken.None).ConfigureAwait(false);
            }
            catch (Exception)
            {
                return;
            }
        }
    }

    /// <summary>Calls until a call gets through: what is drawn is not thrown away because a story's grain is on its way to another
    /// silo, or its storage away.</summary>
    private async Task InsistAsync(Func<Task> call, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                await call().ConfigureAwait(false);
                return;
            }
            catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
            {
                Log.Unreachable(logger, exception);
                await Task.Delay(Pause, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private async Task<DrawnScene[]> DrawAsync(QueuedJob job, DrawingJob order, IStoryGrain story, CancellationToken cancellationToken)
    {
        var options = JsonSerializer.Deserialize<StoryOptions>(order.Options)!;
        var progress = new Reports(story, job.Number, order.Files.Length);
        var path = files.PathOf(job.Story, order.Bank);
        if (order.Anchors is { } anchors)
        {
            if (!File.Exists(path))
            {
                using var made = await model.CreateBankAsync(
                    JsonSerializer.Deserialize<Story>(anchors)!, options, progress, cancellationToken).ConfigureAwait(false);
                files.Write(job.Story, order.Bank, made);
            }

            // Read even where it was just made, so that its images are the file's in any case.
            var bank = banks.Load(path);
            return [.. order.Files.Select((file, i) =>
                files.Write(job.Story, file, bank.Portraits[i], bank.Card.Seeds[i], score: null))];
        }

        using var result = await model.GenerateScenesAsync(
            banks.Load(path), JsonSerializer.Deserialize<Scene[]>(order.Scenes!)!, options, progress, cancellationToken)
            .ConfigureAwait(false);
        return [.. order.Files.Select((file, i) =>
            files.Write(job.Story, file, result.Scenes[i].Image, result.Scenes[i].Seed, result.Scenes[i].Consistency))];
    }

    /// <summary>Tells a story of its steps; what does not arrive is not missed.</summary>
    private sealed class Reports(IStoryGrain story, int job, int scenes) : IProgress<GenerationProgress>
    {
        public void Report(GenerationProgress value)
        {
            if (value.Stage == GenerationStage.Denoising)
            {
                // A batch begins with the anchors that are computed along.
                var previews = value.Previews?.TakeLast(scenes).Select(image => image.EncodePng()).ToArray();
                story.ReportAsync(job, value.Step, value.Steps, previews).Ignore();
            }
        }
    }

    /// <summary>The banks that a worker used last; they are mapped files, so that they take memory only where they are read.</summary>
    private sealed class BankShelf : IDisposable
    {
        private const int Places = 4;

        private readonly LinkedList<(string Path, StoryBank Bank)> banks = [];

        public StoryBank Load(string path)
        {
            var found = banks.FirstOrDefault(entry => entry.Path == path);
            if (found.Bank is not null)
            {
                banks.Remove(found);
            }
            else
            {
                found = (path, StoryBank.Load(path));
                if (banks.Count == Places)
                {
                    banks.Last!.Value.Bank.Dispose();
                    banks.RemoveLast();
                }
            }

            banks.AddFirst(found);
            return found.Bank;
        }

        public void Dispose()
        {
            foreach (var (_, bank) in banks)
            {
                bank.Dispose();
            }
        }
    }
}
