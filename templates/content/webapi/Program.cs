using StorySync.Extensions;
using StorySync.Pipelines;

var builder = WebApplication.CreateBuilder(args);

// One model, loaded once. Requests wait for their device, at most MaxWaiting of them.
builder.Services.AddStorySync(builder.Configuration.GetSection("StorySync"));
builder.Services.AddHealthChecks().AddStorySync();

var app = builder.Build();
app.MapHealthChecks("/health");

app.MapPost("/images", async (ImageRequest request, StorySyncModel model, CancellationToken cancellationToken) =>
{
    try
    {
        using var result = await model.GenerateAsync(
            new GenerationRequest { Prompts = [request.Prompt], Seed = request.Seed, Steps = request.Steps },
            cancellationToken: cancellationToken);
        return Results.File(result.Images[0].Encode(ImageFormat.Png), "image/png");
    }
    catch (QueueFullException)
    {
        return Results.StatusCode(StatusCodes.Status429TooManyRequests);
    }
    catch (ArgumentException exception)
    {
        return Results.Problem(exception.Message, statusCode: StatusCodes.Status400BadRequest);
    }
});

app.Run();

/// <summary>What an image is to show.</summary>
/// <param name="Prompt">The prompt.</param>
/// <param name="Seed">The seed; null for a random one.</param>
/// <param name="Steps">The number of denoising steps; null for the model's own.</param>
internal sealed record ImageRequest(string Prompt, long? Seed = null, int? Steps = null);
