// Images in the way of OpenAI's API, stories with server-sent events. It serves this machine alone unless appsettings.json, the command
// line or the environment says otherwise; docs/server.md has the keys.
var builder = WebApplication.CreateBuilder(args);
var models = builder.Configuration.GetSection("StorySync:Models");
builder.Services.AddKeyedStorySync(models);
builder.Services.AddStorySyncServer(builder.Configuration.GetSection("StorySync:Server"));
builder.Services.AddStorySyncCluster(builder.Configuration.GetSection("StorySync:Cluster").Bind);
builder.Services.AddOpenApi();
var health = builder.Services.AddHealthChecks();
foreach (var model in models.GetChildren())
{
    health.AddStorySync(model.Key);
}

var app = builder.Build();
app.MapOpenApi();
app.MapHealthChecks("/health");
app.MapStorySync();
app.Run();
