using System.Text.Json;
using Microsoft.AspNetCore.Http;
using StorySync.Cluster;
using StorySync.Documents;
using StorySync.Extensions;

namespace StorySync.AspNetCore;

/// <summary>Why a request is not served.</summary>
/// <param name="Status">The status of the response.</param>
/// <param name="Code">The reason, for programs.</param>
/// <param name="Message">The reason, for people.</param>
/// <param name="Parameter">The part of the request that is wrong; null for none.</param>
/// <param name="RetryAfter">When it can be tried again; null where that would change nothing.</param>
internal sealed record Failure(int Status, string Code, string Message, string? Parameter = null, TimeSpan? RetryAfter = null)
{
    private const string Invalid = "invalid_request";

    /// <summary>What an exception says to a client; null where it says that the server is broken.</summary>
    public static Failure? Of(Exception exception) => exception switch
    {
        FailureException { Failure: var failure } => failure,
        QueueFullException => new(
            StatusCodes.Status429TooManyRequests, "queue_full", exception.Message, RetryAfter: TimeSpan.FromSeconds(1)),
        BadHttpRequestException { StatusCode: var status } => new(
            status, status == StatusCodes.Status413PayloadTooLarge ? "request_too_large" : Invalid, exception.Message),
        JsonException { Path: var path } => new(
            StatusCodes.Status400BadRequest, Invalid, exception.Message, path is ['$', '.', .. var name] ? name : null),
        ArgumentException { ParamName: var name } => new(
            StatusCodes.Status400BadRequest,
            Invalid,
            exception.Message.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal)),
        DocumentException or InvalidDataException or NotSupportedException => new(
            StatusCodes.Status400BadRequest, Invalid, exception.Message),
        InsufficientMemoryException => new(StatusCodes.Status400BadRequest, "insufficient_memory", exception.Message),
        StoryNotFoundException => new(StatusCodes.Status404NotFound, "not_found", exception.Message),
        ObjectDisposedException => new(
            StatusCodes.Status503ServiceUnavailable, "stopping", "The server is stopping.", RetryAfter: TimeSpan.FromSeconds(10)),
        _ => null,
    };

    /// <summary>Writes it as OpenAI's servers do.</summary>
    public Task WriteForOpenAIAsync(HttpContext context)
    {
        Prepare(context);
        var type = Status switch
        {
            StatusCodes.Status429TooManyRequests => "rate_limit_error",
            >= 500 => "server_error",
            _ => "invalid_request_error",
        };
        return Results.Json(new { error = new { message = Message, type, param = Parameter, code = Code } }, statusCode: Status)
            .ExecuteAsync(context);
    }

    /// <summary>Writes it as problem details.</summary>
    public Task WriteProblemAsync(HttpContext context)
    {
        Prepare(context);
        var extensions = new Dictionary<string, object?> { ["code"] = Code };
        if (Parameter is not null)
        {
            extensions["parameter"] = Parameter;
        }

        return Results.Problem(Message, statusCode: Status, extensions: extensions).ExecuteAsync(context);
    }

    private void Prepare(HttpContext context)
    {
        if (RetryAfter is { } wait)
        {
            context.Response.Headers.RetryAfter = Seconds(wait);
        }

        if (Status == StatusCodes.Status401Unauthorized)
        {
            context.Response.Headers.WWWAuthenticate = "Bearer";
        }
    }

    /// <summary>Whole seconds as a header has them, at least one.</summary>
    public static string Seconds(TimeSpan wait) => Math.Max(1, (long)Math.Ceiling(wait.TotalSeconds)).ToString(
        System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>Ends a request with a failure.</summary>
internal sealed class FailureException(Failure failure) : Exception(failure.Message)
{
    public Failure Failure => failure;

    /// <summary>Returns what ends a request one part of which is wrong.</summary>
    public static FailureException Of(string parameter, string message) =>
        new(new Failure(StatusCodes.Status400BadRequest, "invalid_request", message, parameter));
}
