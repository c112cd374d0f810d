using StorySync.TestSupport;
using static TorchSharp.torch;

namespace StorySync.Kernels.Tests;

/// <summary>What STORYSYNC_CHECKED=1 finds. Without it nothing is checked, and these are skipped.</summary>
[Collection(typeof(AloneCollection))]
public class MemoryGuardTests
{
    public MemoryGuardTests() => Assert.SkipUnless(MemoryGuard.IsOn, "Accesses are checked only with STORYSYNC_CHECKED=1.");

    [Fact]
    public void What_stays_in_bounds_is_let_through() => Run(read: 0, write: 0, stray: 0);

    [Theory]
    [InlineData(1, 0, "reads")]
    [InlineData(-1, 0, "reads")]
    [InlineData(0, 1, "writes")]
    [InlineData(0, -1, "writes")]
    public void A_vector_out_of_bounds_is_found(int read, int write, string expected) => Fails(expected, () => Run(read, write, stray: 0));

    [Theory]
    [InlineData(64)]
    [InlineData(-1)]
    public void A_single_element_written_out_of_bounds_is_found(int stray) =>
        Fails("beyond the bounds", () => Run(read: 0, write: 0, stray));

    [Fact]
    public void What_is_only_read_must_not_be_written()
    {
        using var input = ones(64);
        var kernel = new Careless(input, read: 0, write: 0, stray: 0, toInput: true);
        using (kernel.Output)
        {
            Fails("writes", kernel.Run);
        }
    }

    private static void Fails(string expected, Action run) =>
        Assert.Contains(expected, Assert.Throws<InvalidOperationException>(run).Message, StringComparison.Ordinal);

    private static void Run(int read, int write, int stray)
    {
        using var input = ones(64);
        var kernel = new Careless(input, read, write, stray, toInput: false);
        using (kernel.Output)
        {
            kernel.Run();
        }
    }

    /// <summary>A kernel that is as wrong as it is told to be.</summary>
    private sealed unsafe class Careless : Kernel
    {
        private readonly int read;
        private readonly int write;
        private readonly int stray;
        private readonly float* from;
        private readonly float* to;

        public Careless(Tensor input, int read, int write, int stray, bool toInput)
        {
            (this.read, this.write, this.stray) = (read, write, stray);
            from = Input(input);
            Output = Allocate(out to, 64);
            to = toInput ? from : to;
        }

        public Tensor Output { get; }

        protected override void Compute<V>()
        {
            for (var at = 0; at < 64; at += V.Count)
            {
                V.Load(from + at + read).Store(to + at + write);
            }

            if (stray != 0)
            {
                to[stray] = 1;
            }
        }
    }
}
