using System.Diagnostics;
using System.Reflection;
using System.Text;
using System.Text.RegularExpressions;
using Microsoft.Playwright;
using StorySync.TestSupport;

namespace StorySync.Studio.Tests;

/// <summary>The Studio, as a process of its own with a folder of its own, and a browser.</summary>
public sealed partial class StudioProcess : IAsyncLifetime
{
    private static readonly string[] Browsers = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

    private readonly TemporaryFolder folder = new();
    private Process? process;
    private IPlaywright? playwright;
    private IBrowser? browser;

    public string Folder => folder.Path;

    public string Address { get; private set; } = "";

    public async ValueTask InitializeAsync()
    {
        if (Array.Find(Browsers, File.Exists) is not { } path)
        {
            return;
        }

        Start();
        playwright = await Playwright.CreateAsync();
        Assertions.SetDefaultExpectTimeout(15_000);
        browser = await playwright.Chromium.LaunchAsync(new() { ExecutablePath = path, Args = ["--no-sandbox", "--no-proxy-server"] });
    }

    /// <summary>Starts the Studio, after it was stopped in the middle of whatever it did.</summary>
    public void Restart()
    {
        Stop();
        Start();
    }

    /// <summary>Opens a page; the test is skipped where there is no browser.</summary>
    public async Task<IPage> OpenAsync(string path = "/", BrowserNewContextOptions? options = null)
    {
        Assert.SkipWhen(browser is null, $"There is no Chromium; looked for {string.Join(", ", Browsers)}.");
        var context = await browser!.NewContextAsync(options ?? new() { ViewportSize = new() { Width = 1280, Height = 900 } });
        context.SetDefaultTimeout(30_000);
        var page = await context.NewPageAsync();
        await page.GotoAsync(Address + path);
        return page;
    }

    public async ValueTask DisposeAsync()
    {
        if (browser is not null)
        {
            await browser.DisposeAsync();
        }

        playwright?.Dispose();
        Stop();
        folder.Dispose();
    }

    private void Start()
    {
        var studio = typeof(StudioProcess).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(one => one.Key == "Studio");
        var start = new ProcessStartInfo("dotnet", [studio.Value!, "--Studio:Port=0", $"--Studio:Folder={folder.Path}"])
        {
            RedirectStandardOutput = true,
        };
        process = Process.Start(start)!;
        var before = new StringBuilder();
        while (process.StandardOutput.ReadLine() is { } line)
        {
            before.AppendLine(line);
            if (Listening().Match(line) is { Success: true } found)
            {
                Address = found.Groups[1].Value;
                // A full pipe would stop it.
                _ = process.StandardOutput.BaseStream.CopyToAsync(Stream.Null);
                return;
            }
        }

        Assert.Fail($"The Studio ended before it listened: {before}");
    }

    private void Stop()
    {
        if (process is not null)
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
            process.Dispose();
            process = null;
        }
    }

    [GeneratedRegex(@"listening on: (http://127\.0\.0\.1:\d+)")]
    private static partial Regex Listening();
}
