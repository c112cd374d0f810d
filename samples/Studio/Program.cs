using System.Net;
using Microsoft.Extensions.Options;
using MudBlazor.Services;
using StorySync.Books;
using StorySync.Samples.Studio;
using StorySync.Samples.Studio.Pages;
using StorySync.Samples.Studio.Projects;

var builder = WebApplication.CreateBuilder(new WebApplicationOptions { Args = args, ContentRootPath = AppContext.BaseDirectory });
var studio = builder.Configuration.GetSection("Studio").Get<StudioOptions>() ?? new StudioOptions();

// For this machine's user alone, also where a page elsewhere has a name of its own for this address.
builder.WebHost.ConfigureKestrel(server => server.Listen(IPAddress.Loopback, studio.Port));
builder.Configuration["AllowedHosts"] = "localhost;127.0.0.1";
builder.WebHost.UseStaticWebAssets();
builder.Logging.AddFilter("Orleans", LogLevel.Warning).AddFilter("Microsoft.AspNetCore", LogLevel.Warning)
    .AddFilter("Microsoft.Orleans", LogLevel.Warning).AddFilter("Polly", LogLevel.Warning);

builder.Services.AddSingleton(Options.Create(studio));
builder.Services.AddSingleton<ProjectShelf>();
builder.Services.AddStorySync(studio.Model);
builder.Services.AddStorySyncCluster(cluster => cluster.Folder = Path.Combine(studio.Folder, ".drawing"));
builder.Services.AddStorySyncServer();
builder.Services.AddMudServices();
builder.Services.AddRazorComponents().AddInteractiveServerComponents()
    .AddHubOptions(hub => hub.MaximumReceiveMessageSize = StudioLimits.Text);

var app = builder.Build();
app.Use((context, next) =>
{
    context.Response.Headers.ContentSecurityPolicy =
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'self'";

    // A page elsewhere can link to this one, and nothing else.
    if (context.Request.Headers["Sec-Fetch-Site"] == "cross-site"
        && !(HttpMethods.IsGet(context.Request.Method) && context.Request.Headers["Sec-Fetch-Mode"] == "navigate"))
    {
        context.Response.StatusCode = StatusCodes.Status403Forbidden;
        return Task.CompletedTask;
    }

    return next();
});
app.UseAntiforgery();
app.MapStaticAssets();
app.MapGet("/stories/{name}/images/{hash:regex(^[0-9a-f]{{64}}$)}.png", (string name, string hash, ProjectShelf shelf, HttpContext http) =>
{
    if (shelf.Find(name)?.ImagePath(hash) is not { } path || !File.Exists(path))
    {
        return Results.NotFound();
    }

    // Its name says what it is.
    http.Response.Headers.CacheControl = "private, max-age=31536000, immutable";
    return Results.File(path, "image/png");
});
app.MapGet("/stories/{name}/book.{format:regex(^(pdf|epub|cbz|html)$)}", (string name, string format, ProjectShelf shelf) =>
    shelf.Find(name)?.BookPath(Enum.Parse<BookFormat>(format, ignoreCase: true)) is { } path && File.Exists(path)
        ? Results.File(path, "application/octet-stream", $"{name}.{format}") : Results.NotFound());
app.MapStorySync();
app.MapRazorComponents<App>().AddInteractiveServerRenderMode();
await app.RunAsync();
