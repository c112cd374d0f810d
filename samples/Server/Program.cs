// Images in the way of OpenAI's API, stories with server-sent events, and tools for assistants. It serves this machine alone unless
// appsettings.json, the command line or the environment says otherwise; docs/server.md has the keys. With the argument mcp it serves the
// program that started it over standard input and output.
if (args is ["mcp", .. var rest])
{
    var host = Host.CreateApplicationBuilder(rest);
    AddStories(host);
    host.Logging.ClearProviders().AddConsole(options => options.LogToStandardErrorThreshold = LogLevel.Trace);
    host.Services.AddStorySyncMcp().WithStdioServerTransport();
    await host.Build().RunAsync();
    return;
}

var builder = WebApplication.CreateBuilder(args);
AddStories(builder);
builder.Services.AddStorySyncServer(builder.Configuration.GetSection("StorySync:Server"));
builder.Services.AddStorySyncMcp().WithHttpTransport(options => options.Stateless = true);
builder.Services.AddOpenApi();

var app = builder.Build();
app.MapOpenApi();
app.MapHealthChecks("/health");
app.MapStorySync();
app.MapStorySyncMcp();
app.Run();

static void AddStories(IHostApplicationBuilder builder)
{
    var models = builder.Configuration.GetSection("StorySync:Models");
    builder.Services.AddKeyedStorySync(models);
    builder.Services.AddStorySyncCluster(builder.Configuration.GetSection("StorySync:Cluster").Bind);
    var health = builder.Services.AddHealthChecks();
    foreach (var model in models.GetChildren())
    {
        health.AddStorySync(model.Key);
    }
}
