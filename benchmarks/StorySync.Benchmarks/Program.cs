using StorySync.Benchmarks;

switch (args)
{
    case ["shared-attention", .. var rest]:
        return SharedAttentionBenchmark.Run(rest);
    default:
        Console.Error.WriteLine($"""
            usage: dotnet run -c Release --project benchmarks/StorySync.Benchmarks -- COMMAND

              {SharedAttentionBenchmark.Usage}
            """);
        return 2;
}
