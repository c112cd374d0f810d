namespace StorySync.Pipelines;

/// <summary>The lists of a request that have one entry for all images or one each, for some of the images.</summary>
internal static class RequestRows
{
    /// <summary>Returns the request of some of the images.</summary>
    /// <param name="request">The request of all.</param>
    /// <param name="images">How many images that are.</param>
    /// <param name="which">The images to take.</param>
    public static GenerationRequest Take(GenerationRequest request, int images, IEnumerable<int> which)
    {
        return Change(request, Part, Part);

        IReadOnlyList<T>? Part<T>(string name, IReadOnlyList<T>? list) =>
            list is null || list.Count != images ? list : [.. which.Select(image => list[image])];
    }

    /// <summary>Puts the lists of two requests one after the other; all else is the first one's.</summary>
    /// <param name="request">The request of the first images, with their prompts.</param>
    /// <param name="further">The request of the further images, with their prompts.</param>
    public static GenerationRequest Join(GenerationRequest request, GenerationRequest further)
    {
        var lists = new Dictionary<string, object?>();
        _ = Change(further, Keep, Keep);
        return Change(request with { Prompts = [.. request.Prompts, .. further.Prompts] }, Both, Both);

        IReadOnlyList<T>? Keep<T>(string name, IReadOnlyList<T>? list)
        {
            lists[name] = Each(list, further);
            return list;
        }

        IReadOnlyList<T>? Both<T>(string name, IReadOnlyList<T>? list) =>
            list is null ? null : [.. Each(list, request)!, .. (IReadOnlyList<T>)lists[name]!];

        static IReadOnlyList<T>? Each<T>(IReadOnlyList<T>? list, GenerationRequest of) =>
            list is [var one] ? [.. Enumerable.Repeat(one, of.Prompts.Count)] : list;
    }

    private static GenerationRequest Change(
        GenerationRequest request,
        Func<string, IReadOnlyList<string>?, IReadOnlyList<string>?> texts,
        Func<string, IReadOnlyList<RgbImage>?, IReadOnlyList<RgbImage>?> images)
    {
        request = request with
        {
            NegativePrompts = texts(nameof(request.NegativePrompts), request.NegativePrompts),
            Images = images(nameof(request.Images), request.Images),
        };
        return request switch
        {
            StableDiffusionXLRequest own => own with
            {
                Prompts2 = texts(nameof(own.Prompts2), own.Prompts2),
                NegativePrompts2 = texts(nameof(own.NegativePrompts2), own.NegativePrompts2),
            },
            FluxRequest own => own with
            {
                Prompts2 = texts(nameof(own.Prompts2), own.Prompts2),
                NegativePrompts2 = texts(nameof(own.NegativePrompts2), own.NegativePrompts2),
            },
            _ => request,
        };
    }
}
