using Microsoft.Extensions.DependencyInjection;
using StorySync.TestSupport;

namespace StorySync.AspNetCore.Tests;

/// <summary>One server with stories for the tests of a class.</summary>
public sealed class ServerFixture : IAsyncLifetime
{
    private readonly TemporaryFolder folder = new();

    internal TestServer Server { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Server = await TestServer.StartAsync(
        add: services => services.AddStorySyncCluster(options => options.Folder = folder.Path));

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        folder.Dispose();
    }
}
