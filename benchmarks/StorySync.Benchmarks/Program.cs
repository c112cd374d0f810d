using BenchmarkDotNet.Running;
using StorySync.Benchmarks;

switch (args)
{
    case ["shared-attention", .. var rest]:
        return SharedAttentionBenchmark.Run(rest);
    case ["safetensors", .. var rest]:
        return SafetensorsRun.Run(rest);
    case ["flux-small", .. var rest]:
        return FluxSmall.Command().Parse(rest).Invoke();
    case ["unet", .. var rest]:
        return ModelRuns.UNet().Parse(rest).Invoke();
    case ["vae-decode", .. var rest]:
        return ModelRuns.VaeDecode().Parse(rest).Invoke();
    case ["pipeline", .. var rest]:
        return ModelRuns.Pipeline().Parse(rest).Invoke();
    case ["load", .. var rest]:
        return ModelRuns.Load().Parse(rest).Invoke();
    case ["micro", .. var rest]:
        BenchmarkSwitcher.FromAssembly(typeof(SafetensorsBenchmarks).Assembly).Run(rest);
        return 0;
    default:
        Console.Error.WriteLine($"""
            usage: dotnet run -c Release --project benchmarks/StorySync.Benchmarks -- COMMAND

              {SharedAttentionBenchmark.Usage}
              {SafetensorsRun.Usage}
              {FluxSmall.Usage}
              {ModelRuns.UNetUsage}
              {ModelRuns.VaeUsage}
              {ModelRuns.PipelineUsage}
              {ModelRuns.LoadUsage}
              micro [--filter '*']        small things, by BenchmarkDotNet
            """);
        return 2;
}
