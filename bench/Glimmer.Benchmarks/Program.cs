using BenchmarkDotNet.Running;
using Glimmer.Benchmarks;

if (args is ["attention", .. string[] rest])
    return AttentionBenchmark.Run(rest);
BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args);
return 0;
