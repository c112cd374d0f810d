using System.CommandLine;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using StorySync.Samples;

namespace StorySync.Tool;

/// <summary>Serves images and stories over HTTP. What has no option is in the configuration, as in samples/Server.</summary>
internal static class ServeCommand
{
    public static Command Create()
    {
        var model = CommandLine.Name(
            "--model", "A model folder in diffusers' layout, organisation/name in the Hugging Face cache, or storybook.", "storybook", "-m");
        var device = CommandLine.Device("--device");
        var dtype = CommandLine.Choice("--dtype", "Data type of the computation.", "float32", "bfloat16", "float16");
        var url = CommandLine.Name("--url", "The address to listen on; other machines need an API key.", "http://localhost:5000");
        var folder = CommandLine.Name("--folder", "The folder for stories.", "stories");
        var command = new Command(
            "serve", "Serve images and stories over HTTP until Ctrl+C: OpenAI's API for images, tools for assistants.")
        {
            model, device, dtype, url, folder,
        };
        command.Does(null, "stories go on when it is started again.", async (parsed, _, error, token) =>
        {
            var builder = WebApplication.CreateSlimBuilder();
            builder.Logging.SetMinimumLevel(LogLevel.Warning).AddFilter("Orleans", LogLevel.Error);
            builder.WebHost.UseUrls(parsed.GetValue(url)!);
            builder.Services.AddStorySync(parsed.GetValue(model)!, options =>
                (options.Device, options.Dtype, options.LoadAtStart) = (parsed.GetValue(device)!, parsed.GetValue(dtype)!, true));
            builder.Services.AddStorySyncCluster(options => options.Folder = parsed.GetValue(folder)!);
            builder.Services.AddStorySyncServer(builder.Configuration.GetSection("StorySync:Server"));
            builder.Services.AddStorySyncMcp().WithHttpTransport(options => options.Stateless = true);
            builder.Services.AddHealthChecks().AddStorySync();
            await using var app = builder.Build();
            app.MapHealthChecks("/health");
            app.MapStorySync();
            app.MapStorySyncMcp();
            await app.StartAsync(token);
            await error.WriteLineAsync($"Serving {parsed.GetValue(model)} at {string.Join(", ", app.Urls)}; Ctrl+C ends it.");
            await app.WaitForShutdownAsync(token);
        });
        return command;
    }
}
