using Microsoft.AspNetCore.Http.Metadata;

namespace StorySync.AspNetCore;

/// <summary>The largest request that an endpoint takes, which ASP.NET Core's routing sets.</summary>
internal sealed record SizeLimit(long? MaxRequestBodySize) : IRequestSizeLimitMetadata;
