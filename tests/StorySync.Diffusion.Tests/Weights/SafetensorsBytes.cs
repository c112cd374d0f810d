using System.Buffers.Binary;
using System.Text;

namespace StorySync.Diffusion.Tests.Weights;

/// <summary>Files put together by hand, right ones and wrong ones.</summary>
internal static class SafetensorsBytes
{
    public static byte[] Of(string header, params byte[] data) => Of(Encoding.UTF8.GetBytes(header), data);

    public static byte[] Of(byte[] header, params byte[] data)
    {
        var length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        return [.. length, .. header, .. data];
    }

    public static byte[] Of<T>(string header, params T[] data)
        where T : unmanaged => Of(header, System.Runtime.InteropServices.MemoryMarshal.AsBytes<T>(data).ToArray());
}
