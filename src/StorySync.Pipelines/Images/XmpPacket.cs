using System.Text;

namespace StorySync.Pipelines;

/// <summary>The XMP packet (ISO 16684-1) of a generated image.</summary>
internal static class XmpPacket
{
    private const string SourceType = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia";

    /// <summary>Gets the packet; its bytes depend on the library's version alone.</summary>
    public static string Text { get; } = $"""
        <?xpacket begin="{'\uFEFF'}" id="W5M0MpCehiHzreSzNTczkc9d"?>
        <x:xmpmeta xmlns:x="adobe:ns:meta/">
          <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
            <rdf:Description rdf:about=""
                xmlns:xmp="http://ns.adobe.com/xap/1.0/"
                xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
                xmp:CreatorTool="{ImageProvenance.Software}"
                Iptc4xmpExt:DigitalSourceType="{SourceType}"/>
          </rdf:RDF>
        </x:xmpmeta>
        <?xpacket end="w"?>
        """.ReplaceLineEndings("\n");

    public static byte[] Bytes => Encoding.UTF8.GetBytes(Text);

    /// <summary>Returns a value indicating whether a packet, of this library or another program, says that a model made the
    /// image.</summary>
    public static bool TellsOfModel(ReadOnlySpan<byte> packet) => packet.IndexOf(Encoding.ASCII.GetBytes(SourceType)) >= 0;
}
