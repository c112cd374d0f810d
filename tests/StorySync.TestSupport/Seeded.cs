using TorchSharp;
using static TorchSharp.torch;

namespace StorySync.TestSupport;

/// <summary>Random tensors that are the same in every run, whatever other tests run meanwhile: libtorch's own generator is seeded by chance
/// and shared by all threads. <see cref="SeededTensorsAttribute"/> begins them again for each test.</summary>
public static class Seeded
{
    [ThreadStatic]
    private static Generator? generator;

    /// <summary>Begins the numbers of this thread again.</summary>
    public static void Begin()
    {
        generator?.Dispose();
        generator = new Generator(1);
    }

    /// <summary>Standard normal numbers.</summary>
    public static Tensor Normal(params long[] size) => randn(size, generator: Own);

    /// <summary>Standard normal numbers of a type.</summary>
    public static Tensor Normal(long[] size, ScalarType dtype) => randn(size, dtype, generator: Own);

    /// <summary>Numbers in [0, 1).</summary>
    public static Tensor Uniform(params long[] size) => rand(size, generator: Own);

    /// <summary>Numbers of a type in [0, 1).</summary>
    public static Tensor Uniform(long[] size, ScalarType dtype) => rand(size, dtype, generator: Own);

    private static Generator Own
    {
        get
        {
            if (generator is null)
            {
                Begin();
            }

            return generator!;
        }
    }
}
