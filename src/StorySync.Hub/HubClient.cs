using System.Net;
using System.Net.Http.Headers;
using System.Reflection;
using Microsoft.Extensions.Http.Resilience;
using Polly;
using Polly.Timeout;

namespace StorySync.Hub;

/// <summary>Asks a server of the Hugging Face Hub's interface.</summary>
internal sealed class HubClient : IDisposable
{
    private const int MaxRedirects = 10;

    private readonly ModelHubOptions options;
    private readonly HttpClient client;

    public HubClient(ModelHubOptions options)
    {
        this.options = options;
        var pipeline = new ResiliencePipelineBuilder<HttpResponseMessage>()
            .AddRetry(new HttpRetryStrategyOptions
            {
                MaxRetryAttempts = options.Retries,
                BackoffType = DelayBackoffType.Exponential,
                Delay = options.RetryDelay,
                UseJitter = false,
            })
            .AddTimeout(new HttpTimeoutStrategyOptions { Timeout = options.IdleTimeout })
            .Build();
        client = new HttpClient(new ResilienceHandler(pipeline)
        {
            InnerHandler = new SocketsHttpHandler
            {
                // Redirects are followed here: the token goes to the server alone, also where a model was renamed there.
                AllowAutoRedirect = false,
                ConnectTimeout = options.IdleTimeout,
                PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            },
        })
        {
            // A file may take hours; what may not be long is the time in which nothing arrives.
            Timeout = Timeout.InfiniteTimeSpan,
        };
        var version = typeof(HubClient).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;
        client.DefaultRequestHeaders.UserAgent.Add(new ProductInfoHeaderValue("StorySync", version.Split('+')[0]));
    }

    /// <summary>Asks for the files of a repository.</summary>
    /// <exception cref="ModelHubException">The server refuses, or does not answer as it should.</exception>
    public async Task<HubListing> ListAsync(string model, string revision, CancellationToken cancellationToken)
    {
        var address = $"api/models/{model}/revision/{Uri.EscapeDataString(revision)}?blobs=true";
        using var response = await GetAsync(address, model, revision, null, cancellationToken).ConfigureAwait(false);
        try
        {
            return HubListing.Parse(await response.Content.ReadAsStringAsync(cancellationToken)
                .WaitAsync(options.IdleTimeout, cancellationToken).ConfigureAwait(false));
        }
        catch (Exception exception) when (exception is FormatException or HttpRequestException or IOException or TimeoutException)
        {
            throw new ModelHubException(
                $"{options.Endpoint} does not answer as the Hugging Face Hub does: {exception.Message}. Check HF_ENDPOINT.",
                null,
                exception);
        }
    }

    /// <summary>Asks for a file, or what is missing of it.</summary>
    /// <param name="model">The repository.</param>
    /// <param name="commit">The commit.</param>
    /// <param name="path">The file's path.</param>
    /// <param name="from">The bytes that are there.</param>
    /// <param name="cancellationToken">The token to monitor for cancellation requests.</param>
    /// <exception cref="ModelHubException">The server refuses.</exception>
    /// <exception cref="HttpRequestException">The server does not answer.</exception>
    public Task<HttpResponseMessage> GetFileAsync(
        string model, string commit, string path, long from, CancellationToken cancellationToken) => GetAsync(
            $"{model}/resolve/{commit}/{string.Join('/', path.Split('/').Select(Uri.EscapeDataString))}",
            model, commit, from > 0 ? new RangeHeaderValue(from, null) : null, cancellationToken);

    public void Dispose() => client.Dispose();

    private async Task<HttpResponseMessage> GetAsync(
        string address, string model, string revision, RangeHeaderValue? range, CancellationToken cancellationToken)
    {
        var uri = new Uri($"{options.Endpoint.AbsoluteUri.TrimEnd('/')}/{address}");
        for (var redirects = 0; redirects <= MaxRedirects; redirects++)
        {
            var response = await SendAsync(uri, range, cancellationToken).ConfigureAwait(false);
            if (response.StatusCode is not (HttpStatusCode.MovedPermanently or HttpStatusCode.Found or HttpStatusCode.SeeOther
                or HttpStatusCode.TemporaryRedirect or HttpStatusCode.PermanentRedirect))
            {
                if (response.IsSuccessStatusCode || response.StatusCode == HttpStatusCode.RequestedRangeNotSatisfiable)
                {
                    return response;
                }

                using (response)
                {
                    throw Refusal(response, model, revision);
                }
            }

            using (response)
            {
                var next = response.Headers.Location is { } location ? new Uri(uri, location)
                    : throw new ModelHubException($"{uri.Host} redirects to nowhere.", response.StatusCode);
                if (next.Scheme != Uri.UriSchemeHttps && next.Scheme != uri.Scheme)
                {
                    throw new ModelHubException(
                        $"{uri.Host} redirects from {uri.Scheme} to {next.Scheme}, which is not followed.", response.StatusCode);
                }

                uri = next;
            }
        }

        throw new ModelHubException($"{uri.Host} redirects more than {MaxRedirects} times.");
    }

    private async Task<HttpResponseMessage> SendAsync(Uri uri, RangeHeaderValue? range, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, uri);
        request.Headers.Range = range;
        if (options.Token is { } token && Uri.Compare(
            uri, options.Endpoint, UriComponents.SchemeAndServer, UriFormat.SafeUnescaped, StringComparison.OrdinalIgnoreCase) == 0)
        {
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        }

        try
        {
            return await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is HttpRequestException or TimeoutRejectedException)
        {
            throw new ModelHubException(
                $"{uri.Host} cannot be reached: {exception.Message} Check the connection, HF_ENDPOINT and the proxy's variables; what has "
                    + "arrived is kept, so that the same call goes on from there.", null, exception);
        }
    }

    private ModelHubException Refusal(HttpResponseMessage response, string model, string revision)
    {
        var code = response.Headers.TryGetValues("X-Error-Code", out var codes) ? string.Concat(codes) : "";
        var said = response.Headers.TryGetValues("X-Error-Message", out var messages) ? $" It says: {string.Concat(messages).Trim()}" : "";
        var page = $"{options.Endpoint.AbsoluteUri.TrimEnd('/')}/{model}";
        var text = (response.StatusCode, code) switch
        {
            (_, "GatedRepo") => options.Token is null
                ? $"'{model}' is gated: its license must be accepted first. Log in and accept it at {page}, then make a token with the "
                    + "right to read and put it into HF_TOKEN."
                : $"'{model}' is gated, and the token's account has not accepted its license, or the token has no right to read gated "
                    + $"repositories. Accept the license at {page}, or check HF_TOKEN.",
            (_, "RevisionNotFound") => $"'{model}' has no revision '{revision}'; {page}/tree/main lists them.",
            (_, "EntryNotFound") => $"'{model}' lacks a file at revision '{revision}' that its own list names; try again.",
            (HttpStatusCode.NotFound, _) or (_, "RepoNotFound") => $"There is no model '{model}', or it is private"
                + $"{(options.Token is null ? " and HF_TOKEN is not set" : " and the token does not open it")}; see {page}.",
            (HttpStatusCode.Unauthorized, _) => options.Token is null
                ? $"'{model}' does not exist, or is private or gated, and HF_TOKEN is not set; see {page}."
                : $"The server does not accept the token; check HF_TOKEN, or see {page}.",
            (HttpStatusCode.Forbidden, _) => $"Access to '{model}' is denied; see {page}.",
            (HttpStatusCode.TooManyRequests, _) => $"{options.Endpoint.Host} takes no more requests for now; try again in a while, or set "
                + "HF_TOKEN: accounts may ask more often.",
            _ => $"{options.Endpoint.Host} answers {(int)response.StatusCode} {response.ReasonPhrase}; try again later.",
        };
        return new ModelHubException(text + said, response.StatusCode);
    }
}
