using System.Buffers.Binary;
using System.Text;
using CsCheck;

namespace StorySync.Kernels.Tests;

public class ElfVersionNeedsTests
{
    private const int Table = 64, Names = 160, Sections = 224;

    [Fact]
    public void Only_the_flag_of_the_named_version_changes()
    {
        var image = Image();
        var before = (byte[])image.Clone();

        Assert.True(ElfVersionNeeds.TryWeaken(image, "GLIBCXX_3.4.32"));

        // The second version of the second library.
        var flag = Table + 64 + 4;
        Assert.Equal([flag], Changed(before, image));
        Assert.Equal(2, image[flag]);
    }

    [Theory]
    [InlineData("GLIBCXX_3.4.3")]
    [InlineData("GLIBCXX_3.4.321")]
    [InlineData("LIBCXX_3.4.32")]
    [InlineData("GLIBCXX_3.4.33")]
    public void A_version_that_is_not_there_changes_nothing(string version)
    {
        var image = Image();
        Assert.False(ElfVersionNeeds.TryWeaken(image, version));
        Assert.Equal(Image(), image);
    }

    [Theory]
    [InlineData("")]
    [InlineData("MZ this is a DLL")]
    [InlineData("\u007fELF\u0001\u0001 thirty-two bits")]
    [InlineData("\u007fELF\u0002\u0001")]
    public void What_is_no_such_library_is_left_alone(string text)
    {
        var image = Encoding.Latin1.GetBytes(text);
        Assert.False(ElfVersionNeeds.TryWeaken(image, "GLIBCXX_3.4.32"));
        Assert.Equal(Encoding.Latin1.GetBytes(text), image);
    }

    [Fact]
    public void Damage_never_throws_and_never_changes_more_than_one_byte() =>
        Gen.Select(Gen.Int[0, 300], Gen.Select(Gen.Int[0, 299],
            Gen.OneOf(Gen.Byte, Gen.Const<byte>(0), Gen.Const<byte>(1), Gen.Const<byte>(0x7f), Gen.Const<byte>(0xff))).Array[0, 12])
            .Sample((length, damage) =>
            {
                var image = Image()[..length];
                foreach (var (at, value) in damage.Where(d => d.Item1 < length))
                {
                    image[at] = value;
                }

                var before = (byte[])image.Clone();
                var found = ElfVersionNeeds.TryWeaken(image, "GLIBCXX_3.4.32");
                Assert.True(Changed(before, image).Length <= (found ? 1 : 0));
            });

    [Fact]
    public void In_the_stock_library_one_flag_byte_changes()
    {
        var path = NativeBackendTests.StockLibrary();
        var image = File.ReadAllBytes(path);
        var before = (byte[])image.Clone();

        Assert.True(ElfVersionNeeds.TryWeaken(image, "GLIBCXX_3.4.32"));

        var at = Assert.Single(Changed(before, image));
        Assert.Equal((0, 2), (before[at], image[at]));
        Assert.Equal(before, File.ReadAllBytes(path));
    }

    private static int[] Changed(byte[] before, byte[] after) =>
        [.. Enumerable.Range(0, before.Length).Where(i => before[i] != after[i])];

    /// <summary>The least that the loader's tables need: a header, two libraries with one and two versions, their names, and two
    /// section headers.</summary>
    private static byte[] Image()
    {
        var image = new byte[352];
        "\u007fELF"u8.CopyTo(image);
        image[4] = 2;
        image[5] = 1;
        Write64(0x28, Sections);
        Write16(0x3a, 64);
        Write16(0x3c, 2);

        // Verneed: version, count, file, distance to the versions, distance to the next library.
        Need(Table, count: 1, next: 32);
        Version(Table + 16, name: 1, next: 0);
        Need(Table + 32, count: 2, next: 0);
        Version(Table + 48, name: 11, next: 16);
        Version(Table + 64, name: 23, next: 0);
        "\0GLIBC_2.5\0GLIBCXX_3.4\0GLIBCXX_3.4.32\0"u8.CopyTo(image.AsSpan(Names));

        Section(0, type: 0x6ffffffe, offset: Table, link: 1);
        Section(1, type: 3, offset: Names, link: 0);
        return image;

        void Need(int at, ushort count, uint next)
        {
            Write16(at, 1);
            Write16(at + 2, count);
            Write32(at + 8, 16);
            Write32(at + 12, next);
        }

        void Version(int at, uint name, uint next)
        {
            Write32(at + 8, name);
            Write32(at + 12, next);
        }

        void Section(int index, uint type, ulong offset, uint link)
        {
            Write32(Sections + (index * 64) + 4, type);
            Write64(Sections + (index * 64) + 0x18, offset);
            Write32(Sections + (index * 64) + 0x28, link);
        }

        void Write16(int at, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(at), value);
        void Write32(int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(at), value);
        void Write64(int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(at), value);
    }
}
