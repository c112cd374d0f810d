using System.Net.ServerSentEvents;
using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using Microsoft.Net.Http.Headers;
using StorySync.Cluster;
using StorySync.Diffusion.Weights;
using StorySync.Pipelines;

namespace StorySync.AspNetCore;

/// <summary>The endpoints of stories.</summary>
internal sealed class StoryEndpoints(
    IStoryService stories, StoryBody body, IOptions<StorySyncServerOptions> options, IHostApplicationLifetime lifetime)
{
    private const string Root = "/v1/stories";

    private const string Yaml = "application/yaml";

    private readonly StorySyncServerOptions options = options.Value;

    public void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost(Root, CreateAsync)
            .Accepts<StoryDocument>("application/json", Yaml).Produces<StoryStatus>(StatusCodes.Status202Accepted)
            .WithSummary("Accepts a story: YAML or JSON as people write it, or a StoryDocument.");
        routes.MapPost($"{Root}/bank", CreateFromBankAsync)
            .Accepts<StoryDocument>("multipart/form-data").Produces<StoryStatus>(StatusCodes.Status202Accepted)
            .WithMetadata(new SizeLimit(options.MaxBankBytes))
            .WithSummary("Accepts further scenes (document) of a bank that is sent with them (bank).");
        var story = routes.MapGroup($"{Root}/{{id}}");
        story.MapGet("", (string id, CancellationToken cancellationToken) => stories.GetAsync(id, cancellationToken))
            .WithSummary("Returns how far a story is.");
        story.MapDelete("", DeleteAsync).WithSummary("Ends a story, within a layer of the model, and forgets it.");
        story.MapGet("events", WatchAsync).WithSummary("Sends each step, preview and status of a story as server-sent events.");
        story.MapPost("scenes", AddScenesAsync)
            .Accepts<IReadOnlyList<string>>("application/json").Produces<StoryStatus>(StatusCodes.Status202Accepted)
            .WithSummary("Adds scenes.");
        story.MapPost("scenes/{scene:int}/redraw", RedrawAsync)
            .Produces<StoryStatus>(StatusCodes.Status202Accepted).WithSummary("Draws another take of a scene.");
        story.MapGet("scenes/{scene:int}/image", ImageAsync).WithSummary("Returns the image of a scene.");
        story.MapGet("bank", BankAsync).WithSummary("Returns a story's bank.");
    }

    private async Task<Accepted<StoryStatus>> CreateAsync(HttpContext context, CancellationToken cancellationToken) => Accepted(
        context, await stories.CreateAsync(await body.ReadAsync(context.Request, cancellationToken), cancellationToken));

    private async Task<Accepted<StoryStatus>> CreateFromBankAsync(HttpContext context, CancellationToken cancellationToken)
    {
        if (!context.Request.HasFormContentType)
        {
            throw new FailureException(new Failure(
                StatusCodes.Status415UnsupportedMediaType, "invalid_request", "The body is not a form; expected multipart/form-data."));
        }

        var form = await context.Request.ReadFormAsync(
            new FormOptions { MultipartBodyLengthLimit = options.MaxBankBytes }, cancellationToken);
        var sent = form.Files.GetFile("bank") ?? throw FailureException.Of("bank", "The form has no file 'bank'.");
        var text = form["document"].ToString();
        await using var file = new FileStream(
            Path.GetTempFileName(), FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete, bufferSize: 4096,
            FileOptions.DeleteOnClose);
        await sent.CopyToAsync(file, cancellationToken);
        await file.FlushAsync(cancellationToken);
        var document = await Task.Run(() => ReadWithBank(file.Name, text, context.Request.Query), cancellationToken);
        file.Position = 0;
        return Accepted(context, await stories.CreateAsync(file, document, cancellationToken));
    }

    private StoryDocument ReadWithBank(string path, string text, IQueryCollection query)
    {
        try
        {
            using var bank = StoryBank.Load(path);
            return body.Read(text, query, text.StartsWith('{'), bank);
        }
        catch (ModelFileException exception)
        {
            throw FailureException.Of("bank", exception.Message.Replace(path, "the bank", StringComparison.Ordinal));
        }
    }

    private async Task<NoContent> DeleteAsync(string id, CancellationToken cancellationToken)
    {
        await stories.DeleteAsync(id, cancellationToken);
        return TypedResults.NoContent();
    }

    private async Task<ServerSentEventsResult<object>> WatchAsync(string id, CancellationToken cancellationToken)
    {
        // A story that there is not is status 404, which an event could not be any more.
        await stories.GetAsync(id, cancellationToken);
        return TypedResults.ServerSentEvents(EventsAsync(id, cancellationToken));
    }

    /// <summary>Ends with the story, and when the server stops: clients come back by themselves, to whichever server is
    /// there.</summary>
    private async IAsyncEnumerable<SseItem<object>> EventsAsync(
        string id, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, lifetime.ApplicationStopping);
        await using var updates = stories.WatchAsync(id, either.Token).GetAsyncEnumerator(either.Token);
        while (await NextAsync(updates))
        {
            var update = updates.Current;
            yield return update.Status is { } status
                ? new SseItem<object>(status, "status")
                : new SseItem<object>(new StepEvent(update.Scene, update.Step, update.Steps, update.Preview), "step");
        }

        async Task<bool> NextAsync(IAsyncEnumerator<StoryUpdate> updates)
        {
            try
            {
                return await updates.MoveNextAsync();
            }
            catch (Exception exception) when (exception is StoryNotFoundException
                || (exception is OperationCanceledException && lifetime.ApplicationStopping.IsCancellationRequested))
            {
                return false;
            }
        }
    }

    private async Task<Accepted<StoryStatus>> AddScenesAsync(string id, HttpContext context, CancellationToken cancellationToken)
    {
        var scenes = await body.ReadScenesAsync(context.Request, cancellationToken);
        return TypedResults.Accepted((string?)null, await Tell(stories.AddScenesAsync(id, scenes, cancellationToken)));
    }

    private async Task<Accepted<StoryStatus>> RedrawAsync(
        string id, int scene, HttpContext context, CancellationToken cancellationToken)
    {
        var replacement = await body.ReadSceneAsync(context.Request, cancellationToken);
        return TypedResults.Accepted((string?)null, await Tell(stories.RedrawAsync(id, scene, replacement, cancellationToken)));
    }

    /// <summary>An image that is drawn again is a take of its own, so that its hash says whether a client has it.</summary>
    private async Task<FileStreamHttpResult> ImageAsync(
        string id, int scene, int? take, HttpContext context, CancellationToken cancellationToken)
    {
        var status = await stories.GetAsync(id, cancellationToken);
        var takes = scene < status.Scenes.Count ? status.Scenes[scene].Takes : [];
        var index = take ?? takes.Count - 1;
        if (index < 0 || index >= takes.Count)
        {
            throw new StoryNotFoundException($"Scene {scene} of story {id} has {takes.Count} takes so far.");
        }

        context.Response.Headers.CacheControl = take is null ? "private, no-cache" : "private, max-age=31536000, immutable";
        return TypedResults.Stream(
            await stories.OpenImageAsync(id, scene, index, cancellationToken),
            "image/png",
            entityTag: new EntityTagHeaderValue($"\"{takes[index].Hash}\""));
    }

    private async Task<FileStreamHttpResult> BankAsync(string id, CancellationToken cancellationToken) => TypedResults.Stream(
        await stories.OpenBankAsync(id, cancellationToken), "application/octet-stream", $"{id}.storybank", enableRangeProcessing: true);

    private static Accepted<StoryStatus> Accepted(HttpContext context, StoryStatus status)
    {
        var path = context.Request.Path.Value!;
        var root = path[..(path.IndexOf(Root, StringComparison.OrdinalIgnoreCase) + Root.Length)];
        return TypedResults.Accepted($"{context.Request.PathBase}{root}/{status.Id}", status);
    }

    /// <summary>What a story is not in the state for is a conflict.</summary>
    private static async Task<StoryStatus> Tell(Task<StoryStatus> changing)
    {
        try
        {
            return await changing;
        }
        catch (InvalidOperationException exception) when (exception is not (StoryNotFoundException or ObjectDisposedException))
        {
            throw new FailureException(new Failure(StatusCodes.Status409Conflict, "conflict", exception.Message));
        }
    }

    /// <summary>A step of a scene, with what it is going to look like where that was asked for.</summary>
    internal sealed record StepEvent(int? Scene, int Step, int Steps, byte[]? Preview);
}
