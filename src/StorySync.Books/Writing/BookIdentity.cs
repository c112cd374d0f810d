namespace StorySync.Books;

/// <summary>Names of books.</summary>
internal static class BookIdentity
{
    /// <summary>A UUID of version 8, whose other bits are a hash's.</summary>
    public static Guid FromHash(byte[] hash)
    {
        var bytes = hash[..16];
        bytes[6] = (byte)((bytes[6] & 0x0F) | 0x80);
        bytes[8] = (byte)((bytes[8] & 0x3F) | 0x80);
        return new Guid(bytes, bigEndian: true);
    }
}
