using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

// A process that draws for a cluster: docs/scale.md. Its settings come from arguments, variables of the environment or appsettings.json:
//     dotnet run --project samples/Silo -c Release -- --Cluster:Redis localhost:6379 --Cluster:Folder /shared/stories --Model storybook
var builder = Host.CreateApplicationBuilder(args);
builder.Services.AddStorySync(
    builder.Configuration["Model"] ?? "storybook", options => options.Device = builder.Configuration["Device"] ?? options.Device);
builder.Services.AddStorySyncCluster(builder.Configuration.GetSection("Cluster").Bind);
builder.Build().Run();
