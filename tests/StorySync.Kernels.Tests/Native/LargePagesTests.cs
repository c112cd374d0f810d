using System.Globalization;
using TorchSharp;

namespace StorySync.Kernels.Tests;

public class LargePagesTests
{
    [Fact]
    public void The_system_is_asked_for_large_pages_where_a_large_tensor_lies()
    {
        Assert.SkipUnless(
            OperatingSystem.IsLinux() && Directory.Exists("/sys/kernel/mm/transparent_hugepage"), "The system has no large pages.");
        Assert.SkipUnless(
            Environment.GetEnvironmentVariable("THP_MEM_ALLOC_ENABLE") is null or "1", "THP_MEM_ALLOC_ENABLE is set to something else.");

        using var tensor = torch.ones(64 << 20);
        Assert.Contains("hg", FlagsAt(PageAdvice.Address(tensor)));
    }

    private static string[] FlagsAt(nint address)
    {
        var isHere = false;
        foreach (var line in File.ReadLines("/proc/self/smaps"))
        {
            var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words[0] == "VmFlags:" && isHere)
            {
                return words[1..];
            }

            if (words[0].Contains('-', StringComparison.Ordinal))
            {
                var range = words[0].Split('-');
                isHere = Parse(range[0]) <= address && address < Parse(range[1]);
            }
        }

        return [];
    }

    private static nint Parse(string text) => nint.Parse(text, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}
