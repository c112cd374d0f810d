using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using StorySync.Pipelines;

namespace StorySync.Web.Tests;

/// <summary>A minimal API whose endpoints take and return the library's types, as ASP.NET Core sets it up.</summary>
public sealed class WebProgram : IAsyncLifetime
{
    private readonly WebApplication app;

    public DiffusionPipeline Pipeline { get; } = DiffusionPipeline.Load("storybook", new PipelineOptions { Device = "cpu" });
    public HttpClient Client { get; } = new();

    public WebProgram()
    {
        var builder = WebApplication.CreateBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        app = builder.Build();
        app.MapPost("/echo/request", (GenerationRequest request) => request);
        app.MapPost("/echo/sdxl", (StableDiffusionXLRequest request) => request);
        app.MapPost("/echo/flux", (FluxRequest request) => request);
        app.MapPost("/echo/story", (Story story) => story);
        app.MapPost("/echo/options", (StoryOptions options) => options);
        app.MapPost("/echo/pipeline", (PipelineOptions options) => options);
        app.MapPost("/echo/image", (RgbImage image) => image);
        app.MapPost("/echo/region", (SubjectRegion region) => region);
        app.MapPost("/echo/result", (GenerationResult result) => result);
        app.MapPost("/echo/story-result", (StoryResult result) => result);
        app.MapPost("/generate", (GenerationRequest request, HttpContext context) =>
        {
            var result = Pipeline.Generate(request, cancellationToken: context.RequestAborted);
            context.Response.RegisterForDispose(result);
            return result;
        });
        app.MapPost("/story", (StoryCall call, HttpContext context) =>
        {
            var result = Pipeline.GenerateStory(call.Story, call.Options, cancellationToken: context.RequestAborted);
            context.Response.RegisterForDispose(result);
            return result;
        });
        app.MapPost("/plan", (GenerationRequest request) => Pipeline.PlanMemory(request));
    }

    public async ValueTask InitializeAsync()
    {
        await app.StartAsync();
        Client.BaseAddress = new Uri(app.Urls.First());
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await app.DisposeAsync();
        Pipeline.Dispose();
    }
}

/// <summary>A story to make.</summary>
public sealed record StoryCall(Story Story, StoryOptions Options);
