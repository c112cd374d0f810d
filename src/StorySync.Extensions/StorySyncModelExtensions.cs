using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.AI;
using StorySync.Pipelines;

namespace StorySync.Extensions;

/// <summary>Provides extension methods that create image generators from models.</summary>
public static class StorySyncModelExtensions
{
    /// <summary>Returns a generator of Microsoft.Extensions.AI that generates by a model.</summary>
    /// <remarks>
    /// <para>Original images are what image to image begins from: one for all images, or as many as Count. ImageSize is taken, and as media
    /// types <c>image/png</c> (default), <c>image/jpeg</c> and <c>image/webp</c>; StreamingCount has no effect.</para>
    /// <para>AdditionalProperties can have <c>seed</c>, <c>negative_prompt</c>, <c>num_inference_steps</c>, <c>guidance_scale</c>,
    /// <c>strength</c> and <c>mask</c> (a <see cref="DataContent"/>, the bytes of an image file, or an <see cref="RgbImage"/>); others are
    /// refused, because they are mistyped. RawRepresentationFactory can return a <see cref="GenerationRequest"/>, or that of one model;
    /// what the options say goes over it.</para>
    /// <para>Images come as <see cref="DataContent"/> with their <c>seed</c> in the additional properties; RawRepresentation is the
    /// <see cref="GenerationResult"/>, whose latents are released.</para>
    /// </remarks>
    /// <param name="model">The model; it stays the application's.</param>
    [Experimental("MEAI001")]
    public static IImageGenerator AsIImageGenerator(this StorySyncModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return new StorySyncImageGenerator(model);
    }
}
