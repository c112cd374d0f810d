
namespace StorySync.Kernels.Tests;

public class ThreadTeamTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(1000)]
    public void Every_piece_is_done_once(int pieces)
    {
        var done = new int[pieces];
        ThreadTeam.Run(pieces, piece => Interlocked.Increment(ref done[piece]));

        Assert.All(done, times => Assert.Equal(1, times));
    }

    [Fact]
    public void What_a_piece_throws_reaches_the_caller_and_the_team_goes_on_to_work()
    {
        var thrown = Assert.Throws<InvalidOperationException>(
            () => ThreadTeam.Run(100, piece => throw new InvalidOperationException("No.")));
        var done = 0;
        ThreadTeam.Run(100, _ => Interlocked.Increment(ref done));

        Assert.Equal("No.", thrown.Message);
        Assert.Equal(100, done);
    }

    [Fact]
    public void Several_callers_do_not_meet()
    {
        var sums = new int[8];
        Parallel.For(0, sums.Length, caller =>
            ThreadTeam.Run(200, piece => Interlocked.Add(ref sums[caller], piece)));

        Assert.All(sums, sum => Assert.Equal(199 * 100, sum));
    }
}
