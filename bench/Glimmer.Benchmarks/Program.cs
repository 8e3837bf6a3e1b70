using BenchmarkDotNet.Running;
using Glimmer.Benchmarks;

switch (args.FirstOrDefault())
{
    case "tokenizer":
        return TokenizerBench.Run(args[1..]);
    default:
        BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args);
        return 0;
}
