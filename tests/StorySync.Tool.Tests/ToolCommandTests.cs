using System.Diagnostics;
using System.IO.Compression;
using System.Text;
using System.Text.Json;
using StorySync.Diffusion.Weights;
using StorySync.Hub.Tests;
using StorySync.Pipelines;
using StorySync.Samples;
using StorySync.TestSupport;
using TorchSharp;

namespace StorySync.Tool.Tests;

/// <summary>The commands, run as the program runs them.</summary>
[Collection(typeof(AloneCollection))]
public sealed class ToolCommandTests : IDisposable
{
    private static readonly string[] Variables = ["HF_HUB_CACHE", "HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE", Characters.Variable];

    private readonly TemporaryFolder folder = new();
    private readonly Dictionary<string, string?> before = Variables.ToDictionary(name => name, Environment.GetEnvironmentVariable);

    public ToolCommandTests()
    {
        foreach (var name in Variables)
        {
            Environment.SetEnvironmentVariable(name, null);
        }

        Environment.SetEnvironmentVariable("HF_HUB_CACHE", Path.Combine(folder.Path, "hub"));
        Environment.SetEnvironmentVariable(Characters.Variable, Path.Combine(folder.Path, "characters"));
    }

    public void Dispose()
    {
        foreach (var (name, value) in before)
        {
            Environment.SetEnvironmentVariable(name, value);
        }

        folder.Dispose();
    }

    [Fact]
    public async Task Help_lists_every_command()
    {
        var (code, text, _) = await Run("--help");
        Assert.Equal(0, code);
        Assert.All(
            (string[])
            [
                "story", "plan", "redraw", "draw", "bank", "character", "export", "evaluate", "inspect", "pull", "convert", "serve",
                "doctor", "completion", "--json",
            ],
            command => Assert.Contains(command, text));
    }

    [Theory]
    [InlineData("paint")]
    [InlineData("draw")]
    [InlineData("redraw", "0", "--bank", "x")]
    [InlineData("redraw", "1")]
    [InlineData("completion", "fish")]
    [InlineData("inspect", "nothing/of/that/name")]
    [InlineData("bank", "show", "nowhere.storybank")]
    [InlineData("draw", "a cat", "--strength", "0.5")]
    [InlineData("pull", "no/name/at/all")]
    [InlineData("draw", "a cat", "--image", "nowhere.png")]
    [InlineData("draw", "a cat", "--preset", "slow")]
    [InlineData("draw", "a cat", "--scheduler", "Euler")]
    [InlineData("story", "--prompt-syntax", "loud")]
    [InlineData("redraw", "1", "--bank", "x", "--preset", "lcm")]
    [InlineData("draw", "--from", "nowhere.png")]
    [InlineData("story", "--from", "nowhere.png")]
    [InlineData("story", "--from", "nowhere.png", "--seed", "3")]
    [InlineData("character", "show", "fox")]
    [InlineData("character", "show", "../fox")]
    [InlineData("character", "add", "nowhere.storybank")]
    [InlineData("export", "nowhere")]
    [InlineData("export", "nowhere", "--format", "pdf")]
    [InlineData("export", "nowhere", "--format", "docx")]
    [InlineData("export", "nowhere", "--format", "pdf", "--layout", "heap")]
    [InlineData("export", "nowhere", "--format", "pdf", "--trim", "0x0")]
    [InlineData("export", "nowhere", "--format", "pdf", "--trim", "A5")]
    [InlineData("export", "nowhere", "--layout", "grid")]
    [InlineData("evaluate", "nowhere.png")]
    [InlineData("convert", "nowhere.safetensors", "out")]
    public async Task A_mistake_is_one_line_on_the_error_stream_and_exit_code_1(params string[] arguments)
    {
        var (code, text, errors) = await Run(arguments);
        Assert.Equal((1, ""), (code, text));
        Assert.InRange(errors.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length, 1, 2);
    }

    [Fact]
    public async Task A_model_that_is_not_there_is_refused_with_the_command_that_downloads_it()
    {
        var (code, _, errors) = await Run("draw", "a cat", "--model", "painter/fox@v2", "--output", Output);
        Assert.Equal(1, code);
        Assert.Contains("`storysync pull painter/fox@v2`", errors);
    }

    [Fact]
    public async Task Draw_writes_images_that_say_how_they_were_made()
    {
        var (code, text, errors) = await Run(
            "draw", "a cat", "a frog", "--steps", "1", "--seed", "3", "--device", "cpu", "--output", Output, "--format", "webp");
        Assert.True(code == 0, errors);
        Assert.Equal($"Wrote 2 images to {Output}", text.Trim());
        Assert.StartsWith("a frog\nSteps: 1, ", RgbImage.ReadParameters(Path.Combine(Output, "image-2.webp")));
        Assert.Contains("images: step 1 of 1", errors);
    }

    [Fact]
    public async Task Draw_begins_from_an_image_and_gives_JSON()
    {
        var source = folder.PathOf("source.png");
        new RgbImage(128, 128, new byte[128 * 128 * 3]).SavePng(source);
        var result = await Json(
            "draw", "a cat", "--image", source, "--strength", "0.5", "--steps", "2", "--count", "2", "--device", "cpu", "-o", Output);
        var images = result.GetProperty("images").EnumerateArray().ToList();
        Assert.Equal([7, 8], images.Select(image => image.GetProperty("seed").GetInt64()));
        Assert.All(images, image => Assert.True(File.Exists(image.GetProperty("file").GetString())));
    }

    [Fact]
    public async Task A_story_is_drawn_shown_and_drawn_again()
    {
        var bank = Path.Combine(folder.Path, "frog.storybank");
        string[] small = ["--steps", "1", "--device", "cpu", "--output", Output, "--no-plain"];
        var story = await Json(
            ["story", "--scene", "a frog in the snow", "--subject", "a frog", "--save-bank", bank, .. small]);
        Assert.Equal(bank, story.GetProperty("bank").GetString());
        Assert.Equal("a frog in the snow", Assert.Single(story.GetProperty("scenes").EnumerateArray()).GetProperty("prompt").GetString());

        var shown = await Json("bank", "show", bank);
        Assert.Equal(1, shown.GetProperty("card").GetProperty("story").GetProperty("scenes").GetArrayLength());
        Assert.Contains("1 anchors by StableDiffusionXLPipeline", (await Run("bank", "show", bank)).Text);
        var inspected = Assert.Single((await Json("inspect", bank)).EnumerateArray());
        Assert.Equal("a story bank", inspected.GetProperty("kind").GetString());

        string[] further = ["--bank", bank, "--scene", "a frog at the beach", "--scene", "a frog in the desert"];
        await Json(["story", .. further, "--device", "cpu", "--output", Output, "--no-plain"]);
        var kept = File.ReadAllBytes(Path.Combine(Output, "scene-1.png"));
        var drawn = File.ReadAllBytes(Path.Combine(Output, "scene-2.png"));
        var again = await Json(["redraw", "2", .. further, "--device", "cpu", "--output", Output]);
        var scene = Assert.Single(again.GetProperty("scenes").EnumerateArray());
        Assert.Equal(Path.Combine(Output, "scene-2.png"), scene.GetProperty("file").GetString());
        Assert.Equal(kept, File.ReadAllBytes(Path.Combine(Output, "scene-1.png")));
        Assert.NotEqual(drawn, File.ReadAllBytes(Path.Combine(Output, "scene-2.png")));
    }

    [Fact]
    public async Task A_plan_draws_nothing()
    {
        var plan = await Json("plan", "--scene", "a frog in the snow", "--subject", "a frog", "--device", "cpu");
        Assert.True(plan.GetProperty("fits").GetBoolean());
        Assert.True(plan.GetProperty("peakBytes").GetInt64() > 0);
        Assert.Contains(plan.GetProperty("stages").EnumerateArray(), stage => stage.GetProperty("stage").GetString() == "denoising");
    }

    [Fact]
    public async Task Inspect_tells_models_LoRAs_pickles_and_images_apart()
    {
        var model = Assert.Single((await Json("inspect", "storybook")).EnumerateArray());
        Assert.Equal("a model for StableDiffusionXLPipeline", model.GetProperty("kind").GetString());
        Assert.StartsWith("tensors ", model.GetProperty("details").GetProperty("unet").GetString());

        using (var scope = torch.NewDisposeScope())
        {
            SafetensorsWriter.Write(folder.PathOf("files/style.safetensors"), new Dictionary<string, torch.Tensor>
            {
                ["unet.mid_block.attn.to_q.lora_A.weight"] = torch.zeros(4, 16),
                ["unet.mid_block.attn.to_q.lora_B.weight"] = torch.zeros(16, 4),
            });
        }

        folder.Write("files/old.ckpt", "PK\u0003\u0004");
        folder.Write("files/readme.txt", "none of these");
        new RgbImage(1, 1, [1, 2, 3]).SavePng(folder.PathOf("files/x.png"), new Dictionary<string, string> { ["parameters"] = "a fox" });
        var found = (await Json("inspect", Path.Combine(folder.Path, "files"))).EnumerateArray().ToList();
        Assert.Equal(
            ["a file that cannot be used", "a LoRA", "a generated image"], found.Select(item => item.GetProperty("kind").GetString()));
        Assert.Contains("pickle", found[0].GetProperty("advice").GetString());
        Assert.Equal("4", found[1].GetProperty("details").GetProperty("ranks").GetString());
        Assert.Equal("a fox", found[2].GetProperty("details").GetProperty("parameters").GetString());
    }

    [Fact]
    public async Task Convert_writes_a_folder_that_is_read()
    {
        var tests = Path.Combine(ReferenceData.OwnRoot);
        var result = await Json(
            "convert", Path.Combine(tests, "single", "flux.safetensors"), Output, "--config", Path.Combine(tests, "models", "tiny-flux"),
            "--dtype", "float16");
        Assert.True(result.GetProperty("files").GetInt32() > 10);
        using var weights = ModelFolder.Open(result.GetProperty("folder").GetString()!).OpenWeights("transformer");
        Assert.All(weights.Tensors.Values, info => Assert.Equal(SafetensorsDtype.F16, info.Dtype));
        Assert.Contains("not empty", (await Run("convert", Path.Combine(tests, "models", "tiny-flux"), Output)).Errors);
    }

    [Fact]
    public async Task Pull_downloads_a_model_and_doctor_finds_it()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Files["model_index.json"] = Encoding.UTF8.GetBytes("""{"_class_name": "StableDiffusionXLPipeline"}""");
        Environment.SetEnvironmentVariable("HF_ENDPOINT", hub.Address.ToString());

        var pulled = await Json("pull", FakeHub.Model);
        Assert.Equal(1, pulled.GetProperty("files").GetInt32());
        Assert.True(File.Exists(Path.Combine(pulled.GetProperty("folder").GetString()!, "model_index.json")));
        Assert.Contains("painter/fox is in ", (await Run("pull", FakeHub.Model)).Text);
        var doctor = await Run("doctor");
        Assert.Contains("ok   model painter/fox: StableDiffusionXLPipeline", doctor.Text);

        Directory.Delete(Path.Combine(folder.Path, "hub", "models--painter--fox", "snapshots"), recursive: true);
        doctor = await Run("doctor");
        Assert.Equal(1, doctor.Code);
        Assert.Contains("look model painter/fox: ", doctor.Text);
        Assert.Contains("→ storysync pull painter/fox", doctor.Text);
    }

    [Fact]
    public async Task Doctor_gives_JSON()
    {
        var (_, text, _) = await Run("doctor", "--json");
        using var document = JsonDocument.Parse(text);
        var names = document.RootElement.EnumerateArray().Select(finding => finding.GetProperty("name").GetString()).ToList();
        Assert.All(
            (string[])[".NET", "libtorch", "device", "threads", "kernels", "memory", "embedded model"],
            name => Assert.Contains(name, names));
    }

    [Theory]
    [InlineData("bash", "complete -o default -F _storysync storysync")]
    [InlineData("zsh", "compdef _storysync storysync")]
    [InlineData("pwsh", "Register-ArgumentCompleter -Native -CommandName storysync")]
    public async Task Completion_prints_what_the_shell_takes(string shell, string expected) =>
        Assert.Contains(expected, (await Run("completion", shell)).Text);

    [Fact]
    public async Task A_shell_that_asks_gets_the_commands()
    {
        var (code, text, _) = await Run("[suggest:0]", "");
        Assert.Equal(0, code);
        Assert.Contains("inspect", text.Split('\n').Select(line => line.Trim()));
    }

    [Fact]
    public async Task A_cancelled_run_ends_with_130_and_writes_nothing()
    {
        using var cancellation = new CancellationTokenSource();
        await cancellation.CancelAsync();
        using var errors = new StringWriter();
        var code = await CommandLine.InvokeAsync(
            ToolCommand.Create(), ["draw", "a cat", "--device", "cpu", "-o", Output], TextWriter.Null, errors, cancellation.Token);
        Assert.Equal(130, code);
        Assert.Contains("Canceled; nothing was written.", errors.ToString());
        Assert.Empty(Directory.EnumerateFiles(Output));
    }

    [Fact]
    public async Task A_drawn_image_is_made_again_from_its_file_alone()
    {
        var first = await Json(
            "draw", "a cat", "a frog in the snow", "--negative", "red", "--steps", "2", "--seed", "3", "--guidance", "3", "--device", "cpu",
            "-o", Output);
        var file = first.GetProperty("images")[1].GetProperty("file").GetString()!;
        var again = await Json("draw", "--from", file, "--device", "cpu", "-o", Path.Combine(folder.Path, "again"));
        Assert.Equal(0, again.GetProperty("compared").GetProperty("largestDifference").GetInt32());
        var image = Assert.Single(again.GetProperty("images").EnumerateArray());
        Assert.Equal(("a frog in the snow", 4), (image.GetProperty("prompt").GetString(), image.GetProperty("seed").GetInt64()));
        Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(image.GetProperty("file").GetString()!));

        var (code, _, errors) = await Run("draw", "--from", file, "--device", "cpu", "--model", "storybook-flux", "-o", Output);
        Assert.Equal(1, code);
        Assert.Contains("storybook-flux", errors);
        (code, _, errors) = await Run("draw", "a dog", "--from", file);
        Assert.Equal(1, code);
        Assert.Contains("A prompt cannot be given with --from: the image says how it was made", errors);
        (code, _, errors) = await Run("draw", "--from", file, "--device", "cpu", "--mask", file);
        Assert.Equal(1, code);
        Assert.Contains("--mask cannot be given with --from: the image says how it was made", errors);
    }

    [Fact]
    public async Task Images_have_a_LoRA_a_preset_and_weights_and_are_made_again_with_the_same()
    {
        var lora = WriteLora();
        string[] cat = ["draw", "a (cat:1.4)", "--device", "cpu", "--seed", "3", "-o", Output];
        string[] all =
            ["--preset", "lightning", "--prompt-syntax", "weighted", "--lora", lora + "=0.5", "--quantization", "int8"];
        var drawn = new HashSet<string>();
        for (var left = 0; left <= all.Length; left += 2)
        {
            await Json([.. cat, .. all[..left], .. all[Math.Min(left + 2, all.Length)..], "--steps", "4"]);
            Assert.True(drawn.Add(Convert.ToHexString(RgbImage.Load(Path.Combine(Output, "image-1.png")).Pixels)));
        }

        await Json([.. cat, .. all]);
        var file = Path.Combine(Output, "image-1.png");
        Assert.Contains(Convert.ToHexString(RgbImage.Load(file).Pixels), drawn);
        Assert.Contains("Steps: 4", RgbImage.ReadParameters(file));
        var copies = Path.Combine(folder.Path, "again");
        var again = await Json("draw", "--from", file, "--lora", lora + "=0.5", "--device", "cpu", "-o", copies);
        Assert.Equal(0, again.GetProperty("compared").GetProperty("largestDifference").GetInt32());
        Assert.Contains("was made with small × 0.5", (await Run("draw", "--from", file, "--lora", lora, "--device", "cpu")).Errors);

        var story = await Json(
            ["story", "--scene", "a (frog:1.2) in the snow", "--subject", "frog", "--no-plain", "--device", "cpu", "-o", Output, .. all]);
        Assert.Empty(story.GetProperty("warnings").EnumerateArray());
        again = await Json(
            "story", "--from", Path.Combine(Output, "scene-1.png"), "--lora", lora + "=0.5", "--device", "cpu", "-o", copies);
        Assert.Equal(0, again.GetProperty("compared").GetProperty("largestDifference").GetInt32());
    }

    [Theory]
    [InlineData("storybook", "--lora", "nowhere.safetensors", "--lora: ")]
    [InlineData("storybook", "--textual-inversion", "nowhere.safetensors", "--textual-inversion: ")]
    [InlineData("tiny-flux", "--textual-inversion", "nowhere.safetensors", "is for SDXL")]
    [InlineData("tiny-flux", "--preset", "lcm", "The preset lcm is for")]
    [InlineData("tiny-flux", "--prompt-syntax", "long", "SDXL")]
    public async Task What_the_model_cannot_have_is_said(string model, string option, string value, string expected)
    {
        var own = Path.Combine(ReferenceData.OwnRoot, "models", model);
        var (code, _, errors) = await Run(
            "draw", "a cat", "--model", Directory.Exists(own) ? own : model, option, value, "--device", "cpu", "-o", Output);
        Assert.Equal(1, code);
        Assert.Contains(expected, errors);
    }

    /// <summary>A LoRA of the embedded model's first queries.</summary>
    private string WriteLora()
    {
        using var scope = torch.NewDisposeScope();
        using var weights = ModelFolder.Open("storybook").OpenWeights("unet");
        var layer = weights.Tensors.Values.First(info => info.Name.EndsWith("attn1.to_q.weight", StringComparison.Ordinal));
        var path = folder.PathOf("small.safetensors");
        var name = "unet." + layer.Name[..^".weight".Length];
        SafetensorsWriter.Write(path, new Dictionary<string, torch.Tensor>
        {
            [name + ".lora_A.weight"] = torch.full([2, layer.Shape[1]], 0.1f),
            [name + ".lora_B.weight"] = torch.full([layer.Shape[0], 2], 0.1f),
        });
        return path;
    }

    [Fact]
    public async Task A_changed_image_is_told_from_what_it_says_of_itself()
    {
        await Json("draw", "a cat", "--steps", "1", "--device", "cpu", "-o", Output);
        var file = Path.Combine(Output, "image-1.png");
        var (image, texts) = (RgbImage.Load(file), RgbImage.ReadPngText(file));
        var pixels = image.Pixels.ToArray();
        (pixels[0], pixels[4]) = ((byte)(pixels[0] ^ 128), (byte)(pixels[4] ^ 1));
        var changed = folder.PathOf("changed.png");
        new RgbImage(image.Width, image.Height, pixels).SavePng(changed, texts);
        var again = await Json("draw", "--from", changed, "--device", "cpu", "-o", Output);
        var compared = again.GetProperty("compared");
        Assert.Equal(
            (128, 2), (compared.GetProperty("largestDifference").GetInt32(), compared.GetProperty("differingPixels").GetInt32()));

        image.SavePng(changed);
        Assert.Contains("does not say in full what it was made with", (await Run("draw", "--from", changed)).Errors);
        image.SavePng(changed, new Dictionary<string, string> { ["StorySync"] = "{\"Version\": 1, \"Dtype\": \"Float99\"}" });
        Assert.Contains("cannot be read", (await Run("draw", "--from", changed)).Errors);
        foreach (var path in (string[])["/models/x", "../x", "a/../b", @"\\\\server\\share", "C:x", "a/b/c"])
        {
            image.SavePng(changed, new Dictionary<string, string>
            {
                ["StorySync"] = texts["StorySync"].Replace("\"storybook\"", $"\"{path}\"", StringComparison.Ordinal),
            });
            Assert.Contains("not a name", (await Run("draw", "--from", changed)).Errors);
        }

        image.SavePng(changed, new Dictionary<string, string>
        {
            ["StorySync"] = texts["StorySync"].Replace("\"ModelHash\":\"", "\"ModelHash\":\"0", StringComparison.Ordinal),
        });
        Assert.Contains("another model", (await Run("draw", "--from", changed, "--device", "cpu", "-o", Output)).Errors);
    }

    [Theory]
    [InlineData("scene-2.png")]
    [InlineData("plain-1.png")]
    [InlineData("large-1.png")]
    public async Task A_story_is_made_again_from_one_of_its_images(string name)
    {
        string[] hires = name.StartsWith("large", StringComparison.Ordinal) ? ["--hires", "2"] : [];
        await Json(
            ["story", "--scene", "a frog in the snow", "--scene", "a frog at the beach", "--subject", "a frog", "--steps", "5",
                "--sharing", "0.8", "--device", "cpu", "-o", Output, .. hires]);
        var file = Path.Combine(Output, name);
        var again = await Json("story", "--from", file, "--device", "cpu", "-o", Path.Combine(folder.Path, "again"));
        var compared = again.GetProperty("compared");
        Assert.Equal(0, compared.GetProperty("largestDifference").GetInt32());
        Assert.Equal(file, compared.GetProperty("file").GetString());
        Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(Path.Combine(folder.Path, "again", name)));
    }

    [Fact]
    public async Task A_character_is_kept_drawn_with_and_made_again()
    {
        var bank = folder.PathOf("frog.storybank");
        string[] small = ["--device", "cpu", "-o", Output, "--no-plain"];
        await Json(["story", "--scene", "a frog in the snow", "--subject", "a frog", "--steps", "2", "--save-bank", bank, .. small]);
        var added = await Json("character", "add", bank);
        Assert.Equal("frog", added.GetProperty("name").GetString());
        File.Delete(bank);
        Assert.Equal("frog: a frog", (await Run("character", "list")).Text.Trim());
        var listed = Assert.Single((await Json("character", "list")).GetProperty("characters").EnumerateArray());
        Assert.Equal(added.GetProperty("file").GetString(), listed.GetProperty("file").GetString());
        Assert.Equal(1, (await Json("character", "show", "frog")).GetProperty("card").GetProperty("story").GetProperty("scenes")
            .GetArrayLength());

        await Json(["story", "--bank", "frog", "--scene", "a frog in the desert", "--scene", "a frog at the beach", .. small]);
        await Json(["redraw", "2", "--bank", "frog", "--scene", "a frog in the desert", "--scene", "a frog at the beach",
            "--device", "cpu", "-o", Output]);
        var scene = Path.Combine(Output, "scene-2.png");
        var again = await Json("story", "--from", scene, "--bank", "frog", "--device", "cpu", "-o", Path.Combine(folder.Path, "again"));
        Assert.Equal(0, again.GetProperty("compared").GetProperty("largestDifference").GetInt32());
        Assert.Contains("give it by --bank", (await Run("story", "--from", scene)).Errors);

        Assert.Contains("There is a character 'frog'", (await Run("character", "add", added.GetProperty("file").GetString()!)).Errors);
    }

    [Fact]
    public async Task A_story_is_exported_and_measured()
    {
        await Json(
            "story", "--scene", "a frog in the snow", "--scene", "a frog at the beach", "--subject", "a frog", "--steps", "1", "--device",
            "cpu", "-o", Output, "--no-plain");
        var file = folder.PathOf("frog.zip");
        var exported = await Json("export", Output, "-o", file);
        Assert.Equal(2, exported.GetProperty("scenes").GetInt32());
        using (var zip = ZipFile.OpenRead(file))
        {
            Assert.Equal(["story.json", "scene-1.png", "scene-2.png", "strip.png"], zip.Entries.Select(entry => entry.Name));
            using var description = JsonDocument.Parse(zip.Entries[0].Open());
            var scene = description.RootElement.GetProperty("scenes")[1];
            Assert.Equal("a frog at the beach", scene.GetProperty("prompt").GetString());
            Assert.Equal("scene-2.png", scene.GetProperty("file").GetString());
            Assert.Equal("storybook", scene.GetProperty("origin").GetProperty("Model").GetString());
        }

        var first = File.ReadAllBytes(file);
        await Json("export", Output, "-o", file);
        Assert.Equal(first, File.ReadAllBytes(file));

        var measured = await Json("evaluate", Output);
        Assert.InRange(measured.GetProperty("clipI").GetDouble(), -1, 1);
        var images = measured.GetProperty("images").EnumerateArray().ToList();
        Assert.Equal(
            ["a frog in the snow", "a frog at the beach"], images.Select(image => image.GetProperty("prompt").GetString()));
        Assert.Equal(images.Average(image => image.GetProperty("clipT").GetDouble()), measured.GetProperty("clipT").GetDouble(), 1e-9);

        var scene1 = Path.Combine(Output, "scene-1.png");
        var one = await Json("evaluate", scene1, "--prompt", "a frog in the snow");
        Assert.Equal(JsonValueKind.Null, one.GetProperty("clipI").ValueKind);
        Assert.Equal(images[0].GetProperty("clipT").GetDouble(), one.GetProperty("clipT").GetDouble(), 1e-5);
        Assert.Contains("give one for each", (await Run("evaluate", scene1, "--prompt", "a", "--prompt", "b")).Errors);
        new RgbImage(8, 8, new byte[192]).SavePng(folder.PathOf("silent.png"));
        Assert.Contains("give a --prompt", (await Run("evaluate", folder.PathOf("silent.png"))).Errors);
    }

    [Fact]
    public async Task A_book_is_made_of_a_story()
    {
        const string Story = """
            title: The frog
            language: en
            subjects: [a frog]
            scenes:
            - prompt: a frog in the snow
              caption: It was cold.
              dialogue: [{ who: a frog, says: Brr! }]
            - a frog at the beach
            """;
        var file = folder.Write("frog.yaml", Story);
        await Json("story", "--story", file, "--steps", "1", "--device", "cpu", "-o", Output, "--no-plain", "--masks");
        foreach (var format in (string[])["pdf", "epub", "cbz", "html"])
        {
            var book = folder.PathOf($"frog.{format}");
            var exported = await Json("export", Output, "-o", book, "--layout", "grid", "--trim", "100x140", "--story", file);
            Assert.Equal(
                (2, new FileInfo(book).Length), (exported.GetProperty("scenes").GetInt32(), exported.GetProperty("bytes").GetInt64()));
            var first = File.ReadAllBytes(book);
            await Json("export", Output, "-o", book, "--layout", "grid", "--trim", "100x140", "--story", file);
            Assert.Equal(first, File.ReadAllBytes(book));
        }

        var page = File.ReadAllText(folder.PathOf("frog.html"));
        Assert.All((string[])["The frog", "It was cold.", "Brr!"], text => Assert.Contains(text, page));
        Assert.DoesNotContain(">a frog at the beach<", page);

        // Without the story's file the prompts are the captions.
        await Json("export", Output, "-o", folder.PathOf("frog.html"));
        Assert.Contains(">a frog at the beach<", File.ReadAllText(folder.PathOf("frog.html")));
        Assert.Contains("pixels per inch", (await Run("export", Output, "-o", folder.PathOf("frog.pdf"))).Text);

        var other = folder.Write("other.yaml", "subjects: [a frog]\nscenes: [a frog]\n");
        Assert.Contains("has 1 scene, but", (await Run("export", Output, "--format", "pdf", "--story", other)).Errors);
        Directory.EnumerateFiles(Output, "*-mask-*").ToList().ForEach(File.Delete);
        Assert.Contains("--masks", (await Run("export", Output, "--format", "pdf", "--story", file)).Errors);
        Assert.Contains("nothing can be written", (await Run("export", Output, "-o", "/proc/none/frog.pdf")).Errors);
    }

    [Fact]
    public async Task A_file_that_is_no_image_is_named()
    {
        folder.Write("stories/scene-1.png", "no image");
        var (file, image) = (folder.PathOf("stories/scene-1.png"), folder.PathOf("image.png"));
        new RgbImage(8, 8, new byte[192]).SavePng(image);
        Assert.StartsWith($"--image: '{file}' ", (await Run("draw", "a cat", "--image", file)).Errors);
        Assert.StartsWith($"--mask: '{file}' ", (await Run("draw", "a cat", "--image", image, "--mask", file)).Errors);
        Assert.StartsWith($"--from: '{file}' ", (await Run("draw", "--from", file)).Errors);
        Assert.StartsWith($"'{file}' ", (await Run("evaluate", file, "--prompt", "a cat")).Errors);
        Assert.StartsWith($"What '{file}' says of itself cannot be read: ", (await Run("export", Path.GetDirectoryName(file)!)).Errors);

        new RgbImage(8, 8, new byte[192]).SavePng(file, new Dictionary<string, string> { ["StorySync"] = "{" });
        var (code, _, errors) = await Run("export", Path.GetDirectoryName(file)!, "-o", folder.PathOf("story.zip"));
        Assert.Equal(1, code);
        Assert.StartsWith($"What '{file}' says of itself cannot be read: ", errors);
        Assert.False(File.Exists(folder.PathOf("story.zip")));
    }

    /// <summary>The program as a process of its own, with the key as the terminal sends it.</summary>
    [Fact]
    public async Task Ctrl_C_ends_the_program_with_130_and_leaves_no_file()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows sends no signals to a process without a console.");

        // A shell without job control has what it starts in the background ignore the key, and so does what that starts.
        string[] heeding = OperatingSystem.IsLinux() ? ["env", "--default-signal=INT", "dotnet"] : ["dotnet"];
        string[] command =
        [
            .. heeding, Path.Combine(AppContext.BaseDirectory, "storysync.dll"), "draw", "a cat", "--steps", "1000", "--device", "cpu",
            "-o", Output,
        ];
        using var program = Process.Start(new ProcessStartInfo(command[0], command[1..])
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
        })!;
        while (await program.StandardError.ReadLineAsync(TestContext.Current.CancellationToken) is { } line
            && !line.Contains("step 1 ", StringComparison.Ordinal))
        {
            Assert.False(program.HasExited, line);
        }

        using (var kill = Process.Start("kill", ["-INT", $"{program.Id}"]))
        {
            await kill.WaitForExitAsync(TestContext.Current.CancellationToken);
        }

        var rest = await program.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await program.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(130, program.ExitCode);
        Assert.EndsWith("Canceled; nothing was written.", rest.Trim(), StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(Output));
    }

    private string Output => Path.Combine(folder.Path, "output");

    private static async Task<(int Code, string Text, string Errors)> Run(params string[] arguments)
    {
        using var text = new StringWriter();
        using var errors = new StringWriter();
        var code = await CommandLine.InvokeAsync(
            ToolCommand.Create(), arguments, text, errors, TestContext.Current.CancellationToken);
        return (code, text.ToString(), errors.ToString());
    }

    private static async Task<JsonElement> Json(params string[] arguments)
    {
        var (code, text, errors) = await Run([.. arguments, "--json"]);
        Assert.True(code == 0, errors);
        return JsonDocument.Parse(text).RootElement;
    }
}
