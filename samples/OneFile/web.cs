#:sdk Microsoft.NET.Sdk.Web
#:project ../../src/StorySync.Extensions/StorySync.Extensions.csproj
#:property PublishAot=false

// A web service: GET /image?prompt=a+fox answers with an image. Requests wait for the device, and are canceled when their client leaves.
using StorySync.Extensions;
using StorySync.Pipelines;

var builder = WebApplication.CreateBuilder(args);
builder.Services.AddStorySync("storybook");
builder.Services.AddHealthChecks().AddStorySync();
var app = builder.Build();
app.MapHealthChecks("/health");
app.MapGet("/image", async (string prompt, long? seed, StorySyncModel model, CancellationToken cancellationToken) =>
{
    var request = new GenerationRequest { Prompts = [prompt], Seed = seed };
    using var result = await model.GenerateAsync(request, cancellationToken: cancellationToken);
    return Results.File(result.Images[0].Encode(ImageFormat.Png), "image/png");
});
app.Run();
