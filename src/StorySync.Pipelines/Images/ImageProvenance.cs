using System.Reflection;

namespace StorySync.Pipelines;

/// <summary>Represents what a generated image says of its origin in the files that are written of it.</summary>
/// <remarks>Every file carries IPTC's digital source type <c>trainedAlgorithmicMedia</c> in an XMP packet
/// (https://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia), by which programs and platforms know an image that a model
/// made; the parameters are where the other tools for diffusion models look for them: the text <c>parameters</c> of a PNG file, the EXIF
/// <c>UserComment</c> of a JPEG or WebP file.</remarks>
public sealed record ImageProvenance
{
    /// <summary>Gets what the image was generated with: the prompt, <c>Negative prompt: </c> and the negative prompt on the next line,
    /// where there is one, and on the last line pairs such as <c>Steps: 20, Seed: 7</c>. Null for none. A JPEG file has room for the first
    /// 32,000 characters.</summary>
    public string? Parameters { get; init; }

    /// <summary>Gets this library's name and version.</summary>
    internal static string Software { get; } = "StorySync " + typeof(ImageProvenance).Assembly
        .GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];
}
