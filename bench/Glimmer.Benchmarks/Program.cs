using BenchmarkDotNet.Running;
using Glimmer.Benchmarks;

switch (args.FirstOrDefault())
{
    case "hostile":
        return HostileRequests.Run(args[1..]);
    case "load":
        return ServerLoad.Run(args[1..]);
    case "agent-server":
        return Glimmer.Benchmarks.Agents.AgentServer.Run(args[1..]);
    case "attention":
        return AttentionBenchmark.Run(args[1..]);
    case "chats":
        return ChatSoak.Run(args[1..]);
    case "check-gguf":
        return Glimmer.Benchmarks.Comparison.GgufCheck.Run(args[1..]);
    case "compare":
        return Glimmer.Benchmarks.Comparison.LlamaComparison.Run(args[1..]);
    case "curves":
        return CurvePlots.Run(args[1..]);
    case "gemm":
        return GemmBenchmark.Run(args[1..]);
    case "grammar":
        return GrammarBenchmark.Run(args[1..]);
    case "memory":
        return MemoryBenchmark.Run(args[1..]);
    case "model":
        return ModelBenchmark.Run(args[1..]);
    case "packed":
        return PackedBenchmark.Run(args[1..]);
    case "train":
        return Glimmer.Benchmarks.TrainingSpeed.TrainingWorker.Run(args[1..]);
    case "compare-torch":
        return Glimmer.Benchmarks.TrainingSpeed.TorchComparison.Run(args[1..]);
    case "tokenizer":
        return TokenizerBench.Run(args[1..]);
    case "vector":
        return VectorBenchmark.Run(args[1..]);
    default:
        BenchmarkSwitcher.FromAssembly(typeof(Program).Assembly).Run(args);
        return 0;
}
