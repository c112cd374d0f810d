using System.Net;
using System.Text;
using Microsoft.AspNetCore.Http;
using StorySync.Diffusion.Weights;
using StorySync.TestSupport;

namespace StorySync.Hub.Tests;

public sealed class ModelHubTests : IAsyncLifetime
{
    private const string Weights = "unet/diffusion_pytorch_model.safetensors";

    private readonly TemporaryFolder folder = new();
    private FakeHub hub = null!;

    public async ValueTask InitializeAsync()
    {
        hub = await FakeHub.StartAsync();
        Add("model_index.json", """{"_class_name": "StableDiffusionXLPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}""");
        Add("unet/config.json", "{}");
        Add("tokenizer/merges.txt", "a b");
        hub.Files[Weights] = Noise(300_000, 1);
    }

    public async ValueTask DisposeAsync()
    {
        await hub.DisposeAsync();
        folder.Dispose();
    }

    [Fact]
    public async Task Files_come_into_the_layout_of_the_cache_and_are_found_there()
    {
        var path = await Download();

        Assert.Equal(Path.Combine(Repository, "snapshots", FakeHub.Commit), path);
        Assert.Equal(FakeHub.Commit, File.ReadAllText(Path.Combine(Repository, "refs", "main")));
        Assert.Equal(path, new HubCache(Options.CacheFolder).Resolve(FakeHub.Model));
        Assert.All(hub.Files, file =>
        {
            var at = Path.Combine(path, file.Key);
            Assert.Equal(file.Value, File.ReadAllBytes(at));
            Assert.Equal(
                string.Concat(Enumerable.Repeat("../", file.Key.Count(c => c == '/') + 2)) + "blobs/" + FakeHub.HashOf(file.Value),
                new FileInfo(at).LinkTarget);
        });
        Assert.Equal(hub.Files.Count, Directory.GetFiles(Path.Combine(Repository, "blobs")).Length);
    }

    [Fact]
    public async Task What_the_pipelines_do_not_read_is_not_downloaded()
    {
        string[] others =
        [
            "README.md", "sd_xl_base_1.0.safetensors", "unet/diffusion_pytorch_model.fp16.safetensors", "unet/diffusion_pytorch_model.bin",
            "unet/model.onnx", "safety_checker/model.safetensors", "unet/deeper/config.json", "vae_decoder/model.onnx",
        ];
        foreach (var other in others)
        {
            hub.Files[other] = Noise(1500, other.Length);
        }

        var path = await Download();
        Assert.All(others, other => Assert.Equal((0, false), (hub.Asked(other), File.Exists(Path.Combine(path, other)))));
    }

    [Fact]
    public async Task A_variant_is_taken_with_its_index_and_shards_and_the_plain_files_where_there_is_none()
    {
        const string Index = "unet/diffusion_pytorch_model.safetensors.index.fp16.json";
        Add(Index, """
            {"weight_map": {
                "a": "diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
                "b": "diffusion_pytorch_model.fp16-00002-of-00002.safetensors",
                "c": "diffusion_pytorch_model.fp16-00001-of-00002.safetensors"
            }}
            """);
        hub.Files["unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors"] = Noise(1001, 2);
        hub.Files["unet/diffusion_pytorch_model.fp16-00002-of-00002.safetensors"] = Noise(1002, 3);
        hub.Files["vae/diffusion_pytorch_model.safetensors"] = Noise(1003, 4);

        var path = await Download(variant: "fp16");
        Assert.Equal(0, hub.Asked(Weights));
        Assert.All(
            (string[])["unet/diffusion_pytorch_model.fp16-00002-of-00002.safetensors", Index, "vae/diffusion_pytorch_model.safetensors"],
            file => Assert.True(File.Exists(Path.Combine(path, file)), file));
    }

    [Fact]
    public async Task A_model_without_an_index_is_one_component()
    {
        hub.Files.Clear();
        Add("config.json", "{}");
        Add("sub/config.json", "{ }");
        hub.Files["model.safetensors"] = Noise(2000, 1);
        var path = await Download();
        Assert.Equal(["config.json", "model.safetensors"], Directory.EnumerateFiles(path).Select(Path.GetFileName).Order());
        Assert.Equal(0, hub.Asked("sub/config.json"));
    }

    [Fact]
    public async Task What_is_there_is_not_downloaded_again_and_a_missing_link_is_made_again()
    {
        var path = await Download();
        File.Delete(Path.Combine(path, Weights));
        var requests = hub.Requests.Count;
        Assert.Equal(path, await Download());
        Assert.Equal(requests, hub.Requests.Count);
        Assert.Equal(hub.Files[Weights], File.ReadAllBytes(Path.Combine(path, Weights)));
    }

    [Fact]
    public async Task A_download_that_breaks_off_goes_on_where_it_stopped()
    {
        hub.Intercept = async (context, file) =>
        {
            if (file != Weights || hub.Asked(Weights) > 3)
            {
                return false;
            }

            await FakeHub.SendAsync(context, hub.Files[Weights], breakAfter: 50_000);
            return true;
        };
        var path = await Download();

        Assert.Equal(hub.Files[Weights], File.ReadAllBytes(Path.Combine(path, Weights)));
        Assert.Equal(
            ["", "bytes=50000-", "bytes=100000-", "bytes=150000-"],
            hub.Requests.Where(request => request.Path.EndsWith(Weights, StringComparison.Ordinal)).Select(request => request.Range));
    }

    [Fact]
    public async Task A_part_that_an_earlier_run_left_is_continued_and_one_too_long_is_not()
    {
        var content = hub.Files[Weights];
        var part = folder.PathOf($"hub/models--painter--fox/blobs/{FakeHub.HashOf(content)}.incomplete");
        File.WriteAllBytes(part, content[..123_456]);
        await Download();
        Assert.Equal("bytes=123456-", hub.Requests.Single(request => request.Path.EndsWith(Weights, StringComparison.Ordinal)).Range);
        Assert.False(File.Exists(part));

        Directory.Delete(Repository, recursive: true);
        File.WriteAllBytes(folder.PathOf(Path.GetRelativePath(folder.Path, part)), new byte[content.Length + 1]);
        Assert.Equal(content, File.ReadAllBytes(Path.Combine(await Download(), Weights)));
    }

    [Theory]
    [InlineData(200)]
    [InlineData(416)]
    [InlineData(206)]
    public async Task A_server_that_does_not_continue_begins_again(int status)
    {
        var content = hub.Files[Weights];
        File.WriteAllBytes(folder.PathOf($"hub/models--painter--fox/blobs/{FakeHub.HashOf(content)}.incomplete"), content[..1000]);
        hub.Intercept = async (context, file) =>
        {
            if (file != Weights || context.Request.Headers.Range.Count == 0)
            {
                return false;
            }

            context.Response.StatusCode = status;
            if (status != 416)
            {
                context.Response.Headers.ContentRange = status == 206 ? $"bytes 7-{content.Length - 1}/{content.Length}" : "";
                await context.Response.Body.WriteAsync(status == 206 ? content.AsMemory(7) : content);
            }

            return true;
        };
        Assert.Equal(content, File.ReadAllBytes(Path.Combine(await Download(), Weights)));
    }

    [Fact]
    public async Task A_download_that_never_gets_on_ends_and_what_has_arrived_stays()
    {
        hub.Intercept = async (context, file) =>
        {
            if (file == Weights)
            {
                await FakeHub.SendAsync(context, hub.Files[Weights], breakAfter: context.Request.Headers.Range.Count == 0 ? 1000 : 0);
            }

            return file == Weights;
        };
        var error = await Fails();
        Assert.Contains($"The download of '{Weights}' of 'painter/fox' breaks off again and again, at 1 kB of 300 kB", error.Message);
        Assert.Equal(1000, new FileInfo(BlobOf(Weights) + ".incomplete").Length);
        Assert.False(Directory.Exists(Path.Combine(Repository, "refs")));
    }

    [Fact]
    public async Task A_connection_on_which_nothing_arrives_counts_as_broken()
    {
        hub.Intercept = async (context, file) =>
        {
            if (file != Weights || hub.Asked(Weights) > 1)
            {
                return false;
            }

            context.Response.ContentLength = hub.Files[Weights].Length;
            await context.Response.Body.WriteAsync(hub.Files[Weights].AsMemory(0, 10));
            await context.Response.Body.FlushAsync();
            await Task.Delay(Timeout.Infinite, context.RequestAborted);
            return true;
        };
        var path = await Download(options: Options with { IdleTimeout = TimeSpan.FromMilliseconds(300) });
        Assert.Equal(hub.Files[Weights], File.ReadAllBytes(Path.Combine(path, Weights)));
        Assert.Equal("bytes=10-", hub.Requests.Last(request => request.Path.EndsWith(Weights, StringComparison.Ordinal)).Range);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_lie_about_the_content_is_found_and_nothing_of_it_is_kept(bool isLarge)
    {
        var file = isLarge ? Weights : "tokenizer/merges.txt";
        byte[] other = [.. hub.Files[file]];
        other[0] ^= 1;
        hub.Intercept = async (context, asked) =>
        {
            if (asked == file)
            {
                await FakeHub.SendAsync(context, other);
            }

            return asked == file;
        };
        var error = await Fails();
        Assert.Contains($"'{file}' of 'painter/fox' is not what was published: its hash is {FakeHub.HashOf(other)}, expected "
            + FakeHub.HashOf(hub.Files[file]), error.Message);
        Assert.False(File.Exists(BlobOf(file)));
        Assert.Equal(0, new FileInfo(BlobOf(file) + ".incomplete").Length);

        hub.Intercept = (_, _) => Task.FromResult(false);
        await Download();
    }

    [Theory]
    [InlineData(-1, true)]
    [InlineData(1, true)]
    [InlineData(-1, false)]
    public async Task A_lie_about_the_size_is_found(int more, bool tellsLength)
    {
        hub.Listed = (path, content) => (content.Length + (path == Weights ? more : 0), FakeHub.HashOf(content));
        hub.Intercept = async (context, file) =>
        {
            if (file != Weights || tellsLength)
            {
                return false;
            }

            await context.Response.Body.WriteAsync(hub.Files[Weights]);
            return true;
        };
        Assert.Contains(
            $"The server sends {(tellsLength ? "300,000" : "more")} bytes for '{Weights}' of 'painter/fox', but its list says "
                + $"{300_000 + more:N0}",
            (await Fails()).Message);
    }

    [Fact]
    public async Task Redirects_are_followed_and_the_token_stays_with_the_server()
    {
        await using var cdn = await FakeHub.StartAsync();
        cdn.Files[Weights] = hub.Files[Weights];
        hub.Intercept = (context, file) =>
        {
            if (file == Weights)
            {
                context.Response.Redirect($"{cdn.Address}cdn/{file}");
            }

            return Task.FromResult(file == Weights);
        };
        await Download(options: Options with { Token = "hf_secret" });
        Assert.All(hub.Requests, request => Assert.Equal("Bearer hf_secret", request.Token));
        Assert.Equal(("/cdn/" + Weights, "", ""), Assert.Single(cdn.Requests));
    }

    [Fact]
    public async Task Redirects_without_end_or_to_another_scheme_are_not_followed()
    {
        hub.Intercept = (context, file) =>
        {
            context.Response.Redirect(context.Request.Path + context.Request.QueryString);
            return Task.FromResult(true);
        };
        Assert.Contains("redirects more than 10 times", (await Fails()).Message);
        hub.Intercept = (context, file) =>
        {
            context.Response.Redirect("file:///etc/passwd");
            return Task.FromResult(true);
        };
        Assert.Contains("redirects from http to file, which is not followed", (await Fails()).Message);
    }

    [Theory]
    [InlineData(401, "GatedRepo", null, "'painter/fox' is gated: its license must be accepted first. Log in and accept it at ")]
    [InlineData(403, "GatedRepo", "hf_x", "the token's account has not accepted its license")]
    [InlineData(401, "RepoNotFound", null, "There is no model 'painter/fox', or it is private and HF_TOKEN is not set")]
    [InlineData(401, "", "hf_x", "does not accept the token; check HF_TOKEN")]
    [InlineData(404, "RepoNotFound", "hf_x", "or it is private and the token does not open it")]
    [InlineData(404, "RevisionNotFound", null, "'painter/fox' has no revision 'main'")]
    [InlineData(403, "", null, "Access to 'painter/fox' is denied")]
    [InlineData(429, "", null, "takes no more requests for now")]
    [InlineData(500, "", null, "answers 500 Internal Server Error; try again later")]
    public async Task A_refusal_is_told_in_words(int status, string code, string? token, string expected)
    {
        hub.Intercept = (context, _) =>
        {
            context.Response.StatusCode = status;
            context.Response.Headers["X-Error-Code"] = code;
            context.Response.Headers["X-Error-Message"] = "Sorry.";
            return Task.FromResult(true);
        };
        var error = await Fails(Options with { Token = token });
        Assert.Contains(expected, error.Message);
        Assert.EndsWith(" It says: Sorry.", error.Message);
        Assert.Equal((HttpStatusCode)status, error.StatusCode);
        if (code == "GatedRepo")
        {
            Assert.Contains($"{hub.Address}painter/fox", error.Message);
        }

        Assert.False(Directory.Exists(Repository));
    }

    [Fact]
    public async Task A_gated_model_whose_list_is_open_is_refused_at_its_first_file()
    {
        hub.Intercept = (context, file) =>
        {
            if (file[0] != '/')
            {
                context.Response.StatusCode = 403;
                context.Response.Headers["X-Error-Code"] = "GatedRepo";
            }

            return Task.FromResult(file[0] != '/');
        };
        Assert.Contains("is gated", (await Fails()).Message);
        Assert.Equal(0, hub.Asked(Weights));
    }

    [Fact]
    public async Task Faults_that_pass_are_outlived()
    {
        var faults = 0;
        hub.Intercept = (context, _) =>
        {
            var fault = Interlocked.Increment(ref faults);
            if (fault <= 3)
            {
                context.Response.StatusCode = fault == 1 ? 429 : 503;
                context.Response.Headers.RetryAfter = "0";
            }

            return Task.FromResult(fault <= 3);
        };
        await Download();
    }

    [Fact]
    public async Task A_server_that_is_not_there_is_named()
    {
        var error = await Fails(Options with { Endpoint = new Uri("http://127.0.0.1:9"), Retries = 1 });
        Assert.Contains("127.0.0.1 cannot be reached", error.Message);
    }

    [Theory]
    [InlineData("<html>")]
    [InlineData("{}")]
    [InlineData("""{"sha": "../..", "siblings": []}""")]
    [InlineData("""{"sha": "0123456789abcdef0123456789abcdef01234567", "siblings": [{"rfilename": "../../evil", "size": 1, "blobId": "00"}]}""")]
    [InlineData("""{"sha": "0123456789abcdef0123456789abcdef01234567", "siblings": [{"rfilename": "C:\\evil", "size": 1, "blobId": "00"}]}""")]
    [InlineData("""{"sha": "0123456789abcdef0123456789abcdef01234567", "siblings": [{"rfilename": "a", "size": 1, "blobId": "../../../../../../../../../../../../evil/"}]}""")]
    public async Task An_answer_that_is_no_list_of_files_is_refused(string answer)
    {
        hub.Intercept = async (context, _) =>
        {
            await context.Response.WriteAsync(answer);
            return true;
        };
        Assert.Contains("does not answer as the Hugging Face Hub does", (await Fails()).Message);
        Assert.False(Directory.Exists(Options.CacheFolder));
    }

    [Fact]
    public async Task A_disk_without_room_is_told_before_the_weights_are_asked_for()
    {
        var error = await Fails(Options with { FreeBytes = _ => 1_234 });
        Assert.Contains("'painter/fox' needs 300 kB more, but the disk of ", error.Message);
        Assert.Contains("has 1.2 kB free", error.Message);
        Assert.Equal(0, hub.Asked(Weights));
    }

    [Fact]
    public async Task Where_links_cannot_be_made_files_are_copied()
    {
        var path = await Download(options: Options with { Link = (_, _) => throw new IOException("no right") });
        Assert.Null(new FileInfo(Path.Combine(path, Weights)).LinkTarget);
        Assert.Equal(hub.Files[Weights], File.ReadAllBytes(Path.Combine(path, Weights)));
        var requests = hub.Requests.Count;
        await Download(options: Options with { Link = (_, _) => throw new IOException("no right") });
        Assert.Equal(requests, hub.Requests.Count);
    }

    [Fact]
    public async Task Offline_a_cached_model_is_taken_and_nothing_is_asked()
    {
        var offline = Options with { IsOffline = true };
        var error = await Assert.ThrowsAsync<ModelHubException>(() => Download(options: offline));
        Assert.Contains("Nothing is downloaded while HF_HUB_OFFLINE is set", error.Message);
        Assert.Empty(hub.Requests);

        var path = await Download();
        var requests = hub.Requests.Count;
        Assert.Equal(path, await Download(options: offline));
        Assert.Equal(requests, hub.Requests.Count);
    }

    [Fact]
    public async Task A_cancelled_download_keeps_what_has_arrived()
    {
        using var cancellation = new CancellationTokenSource();
        hub.Intercept = async (context, file) =>
        {
            if (file != Weights)
            {
                return false;
            }

            context.Response.ContentLength = hub.Files[Weights].Length;
            await context.Response.Body.WriteAsync(hub.Files[Weights].AsMemory(0, 100_000));
            await context.Response.Body.FlushAsync();
            await Task.Delay(Timeout.Infinite, context.RequestAborted);
            return true;
        };
        var seen = new Recorder(report =>
        {
            if (report.File == Weights && report.CompletedBytes > 100_000)
            {
                cancellation.Cancel();
            }
        });
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            ModelHub.DownloadAsync(FakeHub.Model, options: Options, progress: seen, cancellationToken: cancellation.Token));
        Assert.Equal(100_000, new FileInfo(BlobOf(Weights) + ".incomplete").Length);
    }

    [Fact]
    public async Task Progress_ends_with_all_files_and_bytes()
    {
        var reports = new List<DownloadProgress>();
        await ModelHub.DownloadAsync(FakeHub.Model, options: Options, progress: new Recorder(reports.Add));
        var last = reports[^1];
        Assert.Equal((hub.Files.Count, hub.Files.Count), (last.CompletedFiles, last.Files));
        Assert.Equal((hub.Files.Values.Sum(file => (long)file.Length), last.Bytes), (last.CompletedBytes, last.CompletedBytes));
        Assert.Equal(reports.Select(report => report.CompletedBytes).Order(), reports.Select(report => report.CompletedBytes));
    }

    [Fact]
    public async Task No_more_files_than_allowed_are_downloaded_simultaneously()
    {
        for (var i = 0; i < 12; i++)
        {
            Add($"unet/part{i}.json", $"{{\"i\": {i}}}");
        }

        var (now, most) = (0, 0);
        hub.Intercept = async (_, file) =>
        {
            if (file[0] != '/')
            {
                most = Math.Max(most, Interlocked.Increment(ref now));
                await Task.Delay(20);
                Interlocked.Decrement(ref now);
            }

            return false;
        };
        await Download(options: Options with { MaxParallelFiles = 2 });
        Assert.InRange(most, 1, 2);
    }

    [Fact]
    public async Task A_file_that_another_program_downloads_is_waited_for()
    {
        var content = hub.Files[Weights];
        var path = folder.PathOf($"hub/.locks/models--painter--fox/{FakeHub.HashOf(content)}.lock");
        Task<string> download;
        using (new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None))
        {
            download = Download();
            while (hub.Requests.Count < hub.Files.Count - 1)
            {
                await Task.Delay(10);
            }

            await Task.Delay(50);
            Assert.Equal(0, hub.Asked(Weights));
            File.WriteAllBytes(BlobOf(Weights), content);
        }

        Assert.Equal(content, File.ReadAllBytes(Path.Combine(await download, Weights)));
        Assert.Equal(0, hub.Asked(Weights));
    }

    [Theory]
    [InlineData("fox/../..", null)]
    [InlineData("a/b/c", null)]
    [InlineData("a/b", "../main")]
    [InlineData("a/b@x", "y")]
    public async Task A_name_that_is_none_is_refused(string model, string? revision) =>
        await Assert.ThrowsAsync<ArgumentException>(() => ModelHub.DownloadAsync(model, revision, options: Options));

    [Fact]
    public async Task A_revision_gets_its_own_reference()
    {
        await ModelHub.DownloadAsync(FakeHub.Model, "refs/pr/1", options: Options);
        Assert.Equal(FakeHub.Commit, File.ReadAllText(Path.Combine(Repository, "refs", "refs", "pr", "1")));
        await ModelHub.DownloadAsync($"{FakeHub.Model}@{FakeHub.Commit}", options: Options);
        Assert.Single(Directory.GetFiles(Path.Combine(Repository, "refs"), "*", SearchOption.AllDirectories));
    }

    [Fact]
    public void Options_come_from_the_environment()
    {
        var home = folder.PathOf("home/token")[..^"/token".Length];
        File.WriteAllText(Path.Combine(home, "token"), "hf_kept\n");
        var none = Of([]);
        Assert.Equal(("https://huggingface.co/", false), (none.Endpoint.AbsoluteUri, none.IsOffline));
        var kept = Of(new() { ["HF_HOME"] = home, ["HF_HUB_OFFLINE"] = "0" });
        Assert.Equal(("hf_kept", Path.Combine(home, "hub"), false), (kept.Token, kept.CacheFolder, kept.IsOffline));
        var all = Of(new()
        {
            ["HF_HOME"] = home, ["HF_TOKEN"] = "hf_own", ["HF_HUB_CACHE"] = "/cache", ["HF_HUB_OFFLINE"] = "True",
            ["HF_ENDPOINT"] = "http://mirror/hub/",
        });
        Assert.Equal(
            ("hf_own", "/cache", true, "http://mirror/hub"), (all.Token, all.CacheFolder, all.IsOffline, all.Endpoint.AbsoluteUri));
        Assert.DoesNotContain("hf_own", all.ToString());

        static ModelHubOptions Of(Dictionary<string, string> environment) => new(environment.GetValueOrDefault);
    }

    private string Repository => Path.Combine(Options.CacheFolder, "models--painter--fox");

    private ModelHubOptions Options => new(_ => null)
    {
        Endpoint = hub.Address,
        Token = null,
        CacheFolder = Path.Combine(folder.Path, "hub"),
        RetryDelay = TimeSpan.FromMilliseconds(1),
        Retries = 3,
    };

    private static byte[] Noise(int length, int seed)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private void Add(string path, string content) => hub.Files[path] = Encoding.UTF8.GetBytes(content);

    private string BlobOf(string file) => Path.Combine(Repository, "blobs", FakeHub.HashOf(hub.Files[file]));

    private Task<string> Download(string? variant = null, ModelHubOptions? options = null) =>
        ModelHub.DownloadAsync(FakeHub.Model, variant: variant, options: options ?? Options);

    private Task<ModelHubException> Fails(ModelHubOptions? options = null) =>
        Assert.ThrowsAsync<ModelHubException>(() => Download(options: options));

    private sealed class Recorder(Action<DownloadProgress> report) : IProgress<DownloadProgress>
    {
        public void Report(DownloadProgress value) => report(value);
    }
}
