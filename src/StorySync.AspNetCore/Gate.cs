using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Threading.RateLimiting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Options;
using Microsoft.Net.Http.Headers;

namespace StorySync.AspNetCore;

/// <summary>What every request passes before anything of it is read: its key, and the number of requests of that key. What ends a request
/// is written here too.</summary>
internal sealed class Gate : IDisposable
{
    private const string Bearer = "Bearer ";

    private readonly bool allowsAnyone;
    private readonly byte[][] keys;
    private readonly PartitionedRateLimiter<string> limiter;

    public Gate(IOptions<StorySyncServerOptions> options)
    {
        allowsAnyone = options.Value.AllowAnonymous;
        keys = [.. options.Value.ApiKeys.Select(Hash)];
        var window = new FixedWindowRateLimiterOptions
        {
            PermitLimit = options.Value.RequestsPerMinute,
            Window = TimeSpan.FromMinutes(1),
        };
        limiter = PartitionedRateLimiter.Create<string, string>(client => RateLimitPartition.GetFixedWindowLimiter(client, _ => window));
    }

    /// <summary>Returns an endpoint that is let in by this gate alone.</summary>
    /// <param name="next">The endpoint.</param>
    /// <param name="write">Writes what ends a request.</param>
    public RequestDelegate Guard(RequestDelegate next, Func<Failure, HttpContext, Task> write) => async context =>
    {
        try
        {
            Admit(context);
            await next(context);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client has left.
        }
        catch (Exception exception) when (!context.Response.HasStarted && Failure.Of(exception) is { } failure)
        {
            await write(failure, context);
        }
    };

    public void Dispose() => limiter.Dispose();

    private static byte[] Hash(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));

    private void Admit(HttpContext context)
    {
        var client = keys.Length > 0 ? KeyOf(context.Request) : AddressOf(context);
        if (HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsHead(context.Request.Method))
        {
            return;
        }

        using var lease = limiter.AttemptAcquire(client);
        if (!lease.IsAcquired)
        {
            throw new FailureException(new Failure(
                StatusCodes.Status429TooManyRequests,
                "rate_limit_exceeded",
                $"More requests came in a minute than are allowed ({nameof(StorySyncServerOptions.RequestsPerMinute)}); try again later.",
                RetryAfter: lease.TryGetMetadata(MetadataName.RetryAfter, out var wait) ? wait : null));
        }
    }

    /// <summary>Hashes are compared, in the same time whatever they are, so that time tells nothing about a key.</summary>
    private string KeyOf(HttpRequest request)
    {
        var header = request.Headers[HeaderNames.Authorization].ToString();
        var given = header.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase) ? Hash(header[Bearer.Length..].Trim()) : [];
        var known = false;
        foreach (var key in keys)
        {
            known |= CryptographicOperations.FixedTimeEquals(key, given);
        }

        return known
            ? Convert.ToHexString(given)
            : throw new FailureException(new Failure(
                StatusCodes.Status401Unauthorized,
                "invalid_api_key",
                given.Length == 0
                    ? "The request has no API key; expected the header Authorization: Bearer KEY."
                    : "The API key is unknown."));
    }

    /// <summary>Without keys, nobody else's machine is served, and no page in a browser of this one: its requests name where it comes
    /// from, or, where its host's name was made to lead here, another host.</summary>
    private string AddressOf(HttpContext context)
    {
        var address = context.Connection.RemoteIpAddress;
        var origin = context.Request.Headers.Origin.ToString();
        if (!allowsAnyone && !(
            (address is null || IPAddress.IsLoopback(address))
            && IsHere(context.Request.Host.Host)
            && (origin.Length == 0 || (Uri.TryCreate(origin, UriKind.Absolute, out var from) && IsHere(from.Host)))))
        {
            throw new FailureException(new Failure(
                StatusCodes.Status403Forbidden,
                "local_only",
                $"Without API keys, only this machine is served; set {nameof(StorySyncServerOptions.ApiKeys)} to serve others."));
        }

        return address?.ToString() ?? "";
    }

    private static bool IsHere(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address));
}
