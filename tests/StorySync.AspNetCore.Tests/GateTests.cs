using System.Net;
using System.Text.Json;

namespace StorySync.AspNetCore.Tests;

/// <summary>Who is served, and how often.</summary>
public class GateTests
{
    /// <summary>Nothing is drawn for it: what is let in ends here with status 400.</summary>
    private const string Empty = "{}";

    private const string Path = "/v1/images/generations";

    [Theory]
    [InlineData(null, HttpStatusCode.Unauthorized)]
    [InlineData("Bearer other", HttpStatusCode.Unauthorized)]
    [InlineData("Basic right", HttpStatusCode.Unauthorized)]
    [InlineData("Bearer right", HttpStatusCode.BadRequest)]
    [InlineData("bearer second", HttpStatusCode.BadRequest)]
    public async Task A_key_is_needed_where_there_are_some(string? header, HttpStatusCode expected)
    {
        await using var server = await TestServer.StartAsync(options =>
        {
            options.ApiKeys.Add("right");
            options.ApiKeys.Add("second");
        });
        (string, string)[] headers = header is null ? [] : [("Authorization", header)];

        var (response, body) = await server.PostAsync(Path, Empty, [.. headers, (TestServer.From, "192.0.2.1")]);

        Assert.Equal(expected, response.StatusCode);
        Assert.Equal(
            expected == HttpStatusCode.Unauthorized ? "invalid_api_key" : "invalid_request",
            body.GetProperty("error").GetProperty("code").GetString());
        Assert.Equal(expected == HttpStatusCode.Unauthorized, response.Headers.WwwAuthenticate.Count == 1);
    }

    [Theory]
    [InlineData("nothing", HttpStatusCode.BadRequest)]
    [InlineData("Origin: http://localhost:3000", HttpStatusCode.BadRequest)]
    [InlineData("Origin: https://example.com", HttpStatusCode.Forbidden)]
    [InlineData("Origin: null", HttpStatusCode.Forbidden)]
    [InlineData("Host: localhost", HttpStatusCode.BadRequest)]
    [InlineData("Host: example.com", HttpStatusCode.Forbidden)]
    [InlineData("Test-From: ::1", HttpStatusCode.BadRequest)]
    [InlineData("Test-From: 192.0.2.1", HttpStatusCode.Forbidden)]
    public async Task Without_keys_only_this_machine_is_served(string header, HttpStatusCode expected)
    {
        await using var server = await TestServer.StartAsync();
        (string, string)[] headers = header.Split(": ") is [var name, var value] ? [(name, value)] : [];

        Assert.Equal(expected, (await server.PostAsync(Path, Empty, headers)).Response.StatusCode);
    }

    [Fact]
    public async Task Anyone_is_served_where_that_is_allowed()
    {
        await using var server = await TestServer.StartAsync(options => options.AllowAnonymous = true);

        Assert.Equal(
            HttpStatusCode.BadRequest, (await server.PostAsync(Path, Empty, (TestServer.From, "192.0.2.1"))).Response.StatusCode);
    }

    [Fact]
    public async Task A_key_that_asks_too_often_waits_and_others_do_not()
    {
        await using var server = await TestServer.StartAsync(options =>
        {
            options.ApiKeys.Add("often");
            options.ApiKeys.Add("once");
            options.RequestsPerMinute = 2;
        });
        var often = ("Authorization", "Bearer often");
        await server.PostAsync(Path, Empty, often);
        await server.PostAsync(Path, Empty, often);

        var (response, body) = await server.PostAsync(Path, Empty, often);

        Assert.Equal(HttpStatusCode.TooManyRequests, response.StatusCode);
        Assert.Equal("rate_limit_exceeded", body.GetProperty("error").GetProperty("code").GetString());
        Assert.InRange(response.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 60);
        Assert.Equal(
            HttpStatusCode.BadRequest, (await server.PostAsync(Path, Empty, ("Authorization", "Bearer once"))).Response.StatusCode);
        using var models = new HttpRequestMessage(HttpMethod.Get, "/v1/models");
        Assert.Equal(HttpStatusCode.OK, (await server.SendAsync(models, often)).Response.StatusCode);
    }

    [Fact]
    public async Task A_request_that_is_too_large_is_refused()
    {
        await using var server = await TestServer.StartAsync(options => options.MaxRequestBytes = 100);

        var (response, body) = await server.PostAsync(Path, JsonSerializer.Serialize(new { prompt = new string('a', 100) }));

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
        Assert.Equal("request_too_large", body.GetProperty("error").GetProperty("code").GetString());
    }

    [Fact]
    public async Task No_page_of_another_origin_may_read_what_is_answered()
    {
        await using var server = await TestServer.StartAsync(options => options.AllowAnonymous = true);
        using var preflight = new HttpRequestMessage(HttpMethod.Options, Path);
        var (response, _) = await server.SendAsync(
            preflight, ("Origin", "https://example.com"), ("Access-Control-Request-Method", "POST"));

        Assert.Equal(HttpStatusCode.MethodNotAllowed, response.StatusCode);
        Assert.DoesNotContain(response.Headers, header => header.Key.StartsWith("Access-Control", StringComparison.OrdinalIgnoreCase));
    }
}
