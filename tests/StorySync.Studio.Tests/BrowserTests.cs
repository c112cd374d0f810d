using System.Net;
using System.Text.RegularExpressions;
using Deque.AxeCore.Playwright;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace StorySync.Studio.Tests;

/// <summary>The Studio as people use it, in Chromium.</summary>
public partial class BrowserTests(StudioProcess studio) : IClassFixture<StudioProcess>
{
    private const int Patience = 60_000;

    [Fact]
    public async Task From_an_empty_page_to_images_and_on()
    {
        var page = await studio.OpenAsync();
        await page.GetByLabel("Title").FillAsync("Bruno's day");
        await page.GetByRole(AriaRole.Button, new() { Name = "Write it" }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "Bruno's day" })).ToBeVisibleAsync();
        await Set(page, "Subjects, separated by commas", "a bear");
        await page.GetByText("How it is drawn").ClickAsync();
        await Set(page, "Steps", "2");
        await Set(page, "Width", "64");
        await Set(page, "Height", "64");
        foreach (var (i, prompt) in new[] { "a bear waving", "a bear in the snow", "a bear at the beach" }.Index())
        {
            await page.GetByLabel($"Scene {i + 1}").Last.FillAsync(prompt);
            await page.GetByRole(AriaRole.Button, new() { Name = "Add the scene" }).ClickAsync();
            await Expect(Card(page, i + 1)).ToBeVisibleAsync();
        }

        await page.GetByRole(AriaRole.Button, new() { Name = "Draw 3 scenes" }).ClickAsync();
        await DrawnAsync(page, 3);
        var first = await Source(page, 3);

        // Another take; back to the first.
        await page.GetByRole(AriaRole.Button, new() { Name = "Draw scene 3 again" }).ClickAsync();
        await Expect(Image(page, 3)).Not.ToHaveAttributeAsync("src", first, new() { Timeout = Patience });
        await DrawnAsync(page, 3);
        await Card(page, 3).GetByText("More", new() { Exact = true }).ClickAsync();
        await Expect(Takes(page, 3)).ToHaveCountAsync(2);
        await Takes(page, 3).First.ClickAsync();
        await Expect(Image(page, 3)).ToHaveAttributeAsync("src", first);
        await Expect(Card(page, 3).Locator(".prompt")).ToHaveTextAsync("a bear at the beach");

        // Three candidates more.
        await page.GetByRole(AriaRole.Button, new() { Name = "Three more to choose from" }).ClickAsync();
        await Expect(Takes(page, 3)).ToHaveCountAsync(5, new() { Timeout = Patience });

        // A locked scene stays when an anchor changes; undoing brings all back without drawing.
        await page.GetByRole(AriaRole.Button, new() { Name = "Lock scene 3", Exact = true }).ClickAsync();
        await Set(page, "Scene 1", "a bear jumping");
        await Expect(page.GetByRole(AriaRole.Button, new() { Name = "Draw 2 scenes" })).ToBeVisibleAsync();
        await Expect(Image(page, 3)).ToHaveAttributeAsync("src", first);
        await page.GetByRole(AriaRole.Button, new() { Name = "Undo" }).ClickAsync();
        await DrawnAsync(page, 3);

        // A book of it.
        await page.GetByText("A book of it").ClickAsync();
        var book = await page.RunAndWaitForDownloadAsync(
            () => page.GetByRole(AriaRole.Button, new() { Name = "PDF" }).ClickAsync(), new() { Timeout = Patience });
        Assert.Equal("Bruno s day.pdf", book.SuggestedFilename);
        Assert.StartsWith("%PDF-", await File.ReadAllTextAsync(await book.PathAsync()), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Subjects_are_shown_and_placed_on_the_image()
    {
        var page = await OpenStoryAsync("place", 2);
        await page.GetByRole(AriaRole.Button, new() { Name = "Draw 3 scenes" }).ClickAsync();
        await DrawnAsync(page, 3);
        await page.GetByText("Show the subjects").ClickAsync();
        await Expect(page.GetByRole(AriaRole.Img, new() { NameRegex = Share() })).ToHaveCountAsync(3, new() { Timeout = Patience });

        await Card(page, 3).GetByText("More", new() { Exact = true }).ClickAsync();
        await Card(page, 3).GetByRole(AriaRole.Button, new() { Name = "Place a bear" }).ClickAsync();
        var image = Card(page, 3).Locator(".image.placing");
        await image.ScrollIntoViewIfNeededAsync();
        var box = (await image.BoundingBoxAsync())!;
        await page.Mouse.MoveAsync(box.X + (box.Width * 0.5f), box.Y + (box.Height * 0.25f));
        await page.Mouse.DownAsync();
        await page.Mouse.MoveAsync(box.X + (box.Width * 0.99f), box.Y + (box.Height * 0.75f), new() { Steps = 4 });
        await page.Mouse.UpAsync();
        await Expect(Card(page, 3).GetByLabel("Left %")).ToHaveValueAsync("50");
        await Expect(Card(page, 3).GetByLabel("Height %")).ToHaveValueAsync("50");
        await Expect(page.GetByRole(AriaRole.Button, new() { Name = "Draw 1 scene" })).ToBeVisibleAsync();
        await Set(Card(page, 3), "Left %", "10");
        await page.GetByRole(AriaRole.Button, new() { Name = "Draw 1 scene" }).ClickAsync();
        await DrawnAsync(page, 3);
        var yaml = await File.ReadAllTextAsync(Path.Combine(studio.Folder, "place", "story.yaml"));
        Assert.Contains("0.1", yaml, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_story_goes_on_when_the_studio_starts_again()
    {
        var page = await OpenStoryAsync("again", steps: 10);
        await page.GetByRole(AriaRole.Button, new() { Name = "Draw 3 scenes" }).ClickAsync();
        await Expect(page.Locator(".image img:not(.preview)")).ToHaveCountAsync(2, new() { Timeout = Patience });
        studio.Restart();
        page = await studio.OpenAsync("/stories/again");
        await DrawnAsync(page, 3);
        var images = Directory.GetFiles(Path.Combine(studio.Folder, "again", "images"));
        Assert.Equal(3, images.Length);
    }

    [Fact]
    public async Task What_is_canceled_stops_and_can_be_drawn_later()
    {
        var page = await OpenStoryAsync("cancel", steps: 400);
        await page.GetByRole(AriaRole.Button, new() { Name = "Draw 3 scenes" }).ClickAsync();
        await Expect(page.Locator("img.preview").First).ToBeVisibleAsync(new() { Timeout = Patience });
        await page.GetByRole(AriaRole.Button, new() { Name = "Cancel" }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Button, new() { Name = "Draw 3 scenes" })).ToBeEnabledAsync();
        await page.GetByText("How it is drawn").ClickAsync();
        await Set(page, "Steps", "2");
        await page.GetByRole(AriaRole.Button, new() { Name = "Draw 3 scenes" }).ClickAsync();
        await DrawnAsync(page, 3);
    }

    [Fact]
    public async Task A_story_goes_on_when_its_page_is_loaded_again_and_shows_in_two_windows()
    {
        var page = await OpenStoryAsync("reload", steps: 400);
        await page.GetByRole(AriaRole.Button, new() { Name = "Draw 3 scenes" }).ClickAsync();
        var preview = page.Locator("img.preview").First;
        await Expect(preview).ToBeVisibleAsync(new() { Timeout = Patience });
        await page.ReloadAsync();
        await Expect(preview).ToBeVisibleAsync(new() { Timeout = Patience });
        var before = (await preview.GetAttributeAsync("src"))!;
        await Expect(preview).Not.ToHaveAttributeAsync("src", before, new() { Timeout = Patience });

        var other = await studio.OpenAsync("/stories/reload");
        await Expect(other.Locator("img.preview").First).ToBeVisibleAsync(new() { Timeout = Patience });
        await other.GetByRole(AriaRole.Button, new() { Name = "Cancel" }).ClickAsync();
        await other.GetByText("How it is drawn").ClickAsync();
        await Set(other, "Steps", "2");
        await Set(other, "Scene 3", "a bear in the city");
        await Expect(page.GetByRole(AriaRole.Textbox, new() { Name = "Scene 3" })).ToHaveValueAsync("a bear in the city");
        await page.GetByRole(AriaRole.Button, new() { Name = "Draw 3 scenes" }).ClickAsync();
        await DrawnAsync(other, 3);
        await DrawnAsync(page, 3);
    }

    [Fact]
    public async Task A_hostile_prompt_is_text()
    {
        const string Hostile = "a bear <script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">";
        var page = await OpenStoryAsync("hostile", 2, Hostile);
        await page.GetByRole(AriaRole.Button, new() { Name = "Draw 1 scene" }).ClickAsync();
        await DrawnAsync(page, 1);
        await Card(page, 1).GetByText("More", new() { Exact = true }).ClickAsync();
        await Expect(Card(page, 1).Locator(".prompt")).ToHaveTextAsync(Hostile);
        Assert.Equal($"Scene 1: {Hostile}", await Image(page, 1).GetAttributeAsync("alt"));
        await Expect(page).ToHaveTitleAsync("hostile · StorySync Studio");
    }

    [Fact]
    public async Task Other_programs_are_served_and_other_sites_are_not()
    {
        await studio.OpenAsync();
        using var client = new HttpClient(new HttpClientHandler { UseProxy = false });
        Assert.Equal(HttpStatusCode.OK, await AskAsync(_ => { }));
        Assert.Equal(HttpStatusCode.Forbidden, await AskAsync(request => request.Headers.Add("Sec-Fetch-Site", "cross-site")));
        Assert.Equal(HttpStatusCode.BadRequest, await AskAsync(request => request.Headers.Host = "studio.example.org"));

        async Task<HttpStatusCode> AskAsync(Action<HttpRequestMessage> change)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, $"{studio.Address}/v1/models");
            change(request);
            using var response = await client.SendAsync(request);
            return response.StatusCode;
        }
    }

    [Fact]
    public async Task A_fault_of_a_story_is_shown_with_its_line_and_column()
    {
        var page = await studio.OpenAsync();
        await page.GetByLabel("The story as text").FillAsync("subjects: a bear\nscenes:\n  - promt: a bear waving\n");
        await page.GetByRole(AriaRole.Button, new() { Name = "Open it" }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Alert)).ToContainTextAsync("line 3, column 5");
        await page.GetByLabel("A story file").SetInputFilesAsync(new FilePayload
        {
            Name = "bear.json",
            MimeType = "application/json",
            Buffer = """{ "title": "From a file", "subjects": "a bear", "scenes": ["a bear waving"] }"""u8.ToArray(),
        });
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = "From a file" })).ToBeVisibleAsync();
        await Expect(Card(page, 1)).ToBeVisibleAsync();
    }

    [Fact]
    public async Task An_image_of_the_users_is_the_subject_and_the_plain_model_is_compared_with()
    {
        var page = await OpenStoryAsync("own", 2, "a bear waving", "a bear in the snow");
        await page.GetByText("Compare with the plain model").ClickAsync();
        await Expect(page.Locator(".plain img")).ToHaveCountAsync(2, new() { Timeout = Patience });
        await Expect(page.GetByRole(AriaRole.Button, new() { Name = "Draw 2 scenes" })).ToBeVisibleAsync(new() { Timeout = Patience });
        await page.GetByLabel("An image of the subject").SetInputFilesAsync(new FilePayload
        {
            Name = "bear.png", MimeType = "image/png", Buffer = BearPng(),
        });
        await Expect(page.GetByAltText("The subject, as you brought it")).ToBeVisibleAsync();
        await page.GetByRole(AriaRole.Button, new() { Name = "Draw 2 scenes" }).ClickAsync();
        await DrawnAsync(page, 2);
        await Expect(page.GetByText("anchor", new() { Exact = true })).ToHaveCountAsync(0);
    }

    [Theory]
    [InlineData(ColorScheme.Light, 1280)]
    [InlineData(ColorScheme.Dark, 390)]
    public async Task Everybody_can_use_it(ColorScheme colors, int width)
    {
        var options = new BrowserNewContextOptions
        {
            ColorScheme = colors, ViewportSize = new() { Width = width, Height = 844 }, ReducedMotion = ReducedMotion.Reduce,
        };
        var name = $"access {colors}";
        var page = await OpenStoryAsync(name, 2, options: options);
        await page.GetByRole(AriaRole.Button, new() { Name = "Draw 3 scenes" }).ClickAsync();
        await DrawnAsync(page, 3);
        foreach (var summary in await page.Locator("summary").AllAsync())
        {
            await summary.ClickAsync();
        }

        await CheckAsync(page);
        Assert.True(
            await page.EvaluateAsync<bool>("document.documentElement.scrollWidth <= window.innerWidth"), "It is wider than the window.");
        await page.GotoAsync(new Uri(page.Url).GetLeftPart(UriPartial.Authority));
        await Expect(page.GetByRole(AriaRole.Link, new() { Name = name })).ToBeVisibleAsync();
        await CheckAsync(page);
    }

    private static async Task CheckAsync(IPage page)
    {
        var found = await page.RunAxe();
        Assert.Empty(found.Violations.Where(one => one.Impact is "serious" or "critical")
            .Select(one => $"{one.Id}: {one.Help}\n{string.Join('\n', one.Nodes.Select(node => node.Html))}"));
    }

    private static byte[] BearPng()
    {
        var pixels = new byte[64 * 64 * 3];
        Array.Fill(pixels, (byte)120, 64 * 16 * 3, 64 * 32 * 3);
        return new StorySync.Pipelines.RgbImage(64, 64, pixels).EncodePng();
    }

    private static ILocator Card(IPage page, int scene) =>
        page.GetByRole(AriaRole.Article, new() { Name = $"Scene {scene}", Exact = true });

    private static ILocator Takes(IPage page, int scene) => Card(page, scene).GetByRole(AriaRole.Button, new() { NameRegex = Take() });

    private static ILocator Image(IPage page, int scene) => Card(page, scene).Locator(".image img");

    private static async Task<string> Source(IPage page, int scene) => (await Image(page, scene).GetAttributeAsync("src"))!;

    private static Task Set(IPage page, string label, string value) => Set(page.Locator("body"), label, value);

    private static async Task Set(ILocator within, string label, string value)
    {
        var field = within.GetByLabel(label, new() { Exact = true }).And(within.Page.Locator("input, textarea"));
        await field.FillAsync(value);
        await field.BlurAsync();
    }

    private static async Task DrawnAsync(IPage page, int scenes)
    {
        await Expect(page.GetByRole(AriaRole.Button, new() { Name = "All is drawn" })).ToBeVisibleAsync(new() { Timeout = Patience });
        await Expect(page.Locator(".image img:not(.preview):not(.stale)")).ToHaveCountAsync(scenes);
        await page.EvaluateAsync("Promise.all([...document.querySelectorAll('.image img')].map(image => image.decode()))");
    }

    /// <summary>Makes a story of three scenes or those given, of small images, and opens it.</summary>
    private async Task<IPage> OpenStoryAsync(string title, int steps, params string[] prompts) =>
        await OpenStoryAsync(title, steps, null, prompts);

    private async Task<IPage> OpenStoryAsync(string title, int steps, BrowserNewContextOptions? options, params string[] prompts)
    {
        var page = await studio.OpenAsync(options: options);
        string[] scenes = prompts.Length > 0 ? prompts : ["a bear waving", "a bear in the snow", "a bear at the beach"];
        await page.GetByLabel("The story as text").FillAsync(System.Text.Json.JsonSerializer.Serialize(new
        {
            title, subjects = "a bear", steps, width = 64, height = 64, scenes,
        }));
        await page.GetByRole(AriaRole.Button, new() { Name = "Open it" }).ClickAsync();
        await Expect(page.GetByRole(AriaRole.Heading, new() { Name = title, Exact = true })).ToBeVisibleAsync();
        return page;
    }

    [GeneratedRegex("^a bear: .* of the image$")]
    private static partial Regex Share();

    [GeneratedRegex("^Take with seed")]
    private static partial Regex Take();
}
