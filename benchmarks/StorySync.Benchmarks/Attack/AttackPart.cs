namespace StorySync.Benchmarks.Attack;

/// <summary>A part of the attack: what it tries, and how often.</summary>
/// <param name="Name">Its name on the command line.</param>
/// <param name="Full">The number of cases at full scale.</param>
/// <param name="Small">The number of cases of a run that has a few minutes.</param>
/// <param name="Hang">The time after which a case hangs.</param>
/// <param name="Create">Prepares it, given the folder of tiny models.</param>
internal sealed record AttackPart(string Name, int Full, int Small, TimeSpan Hang, Func<string, IAttack> Create)
{
    private static readonly TimeSpan ForOne = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan ForProcesses = TimeSpan.FromSeconds(60);

    public static IReadOnlyList<AttackPart> All { get; } =
    [
        new("safetensors", 1_000_000, 8_000, ForOne, _ => new SafetensorsAttack()),
        new("configs", 100_000, 150, ForOne, models => new ConfigAttack(models)),
        new("loras", 10_000, 100, ForOne, models => new LoraAttack(models)),
        new("banks", 10_000, 60, ForOne, models => new BankAttack(models)),
        new("images", 10_000, 2_000, ForOne, _ => new ImageAttack()),
        new("dispose", 3_000, 30, ForOne, models => new DisposeAttack(models)),
        new("mapped", 108, 6, ForProcesses, models => new MappedAttack(models)),
        new("parallel", 20, 1, ForProcesses, models => new ParallelAttack(models)),
        new("cancel", 1_500, 180, ForOne, models => new CancelAttack(models)),
        new("soak", 500, 40, ForOne, models => new SoakAttack(models)),
        new("kill", 100, 4, ForProcesses, _ => new KillAttack()),
        new("disk", 100, 4, ForProcesses, _ => new DiskAttack()),
    ];

    /// <summary>What a case draws comes from here alone, so that it can be made again without those before it.</summary>
    public Random RandomOf(int seed, int index)
    {
        var state = 14695981039346656037UL;
        foreach (var value in (ReadOnlySpan<int>)[seed, index, .. Name.Select(letter => (int)letter)])
        {
            state = (state ^ (uint)value) * 1099511628211UL;
        }

        return new Random((int)(state >> 32));
    }
}
