using Glimmer.Kernels;
using Glimmer.Models;
using Xunit.Abstractions;

namespace Glimmer.Tests.Inference;

/// <summary>
/// Batching, chunking, preemption, prefix reuse, forks, drafts, threads and the company of others change no bit of an answer, and memory returns to what it was.
/// </summary>
[Trait("Category", "Golden")]
public class EngineScheduleTests(ITestOutputHelper output)
{
    private const int Schedules = 10_000;

    public static TheoryData<string> Cases() => TinyModels.Names();

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Answers_are_those_of_a_lone_run(string name) => Run(name, first: 0, count: 10);

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Answers_are_those_of_a_lone_run_with_shorter_pages(string name)
    {
        Run(name, first: 100, count: 3, KeyValueType.BF16);
        Run(name, first: 200, count: 3, KeyValueType.Int8);
    }

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    [Trait("Category", "Slow")]
    public void Answers_are_those_of_a_lone_run_in_thousands_of_schedules(string name) => Run(name, first: 1000, count: (Schedules / Cases().Count) + 1);

    private void Run(string name, int first, int count, KeyValueType pages = KeyValueType.F32)
    {
        (Checkpoint checkpoint, CausalLm model) = TinyModels.Open(name);
        model.CacheType = pages;
        using (checkpoint)
        using (model)
        using (var simulator = new EngineSimulator(model))
        {
            for (int seed = first; seed < first + count; seed++)
                simulator.Run(seed);
            output.WriteLine($"{count} schedules: {simulator.Preemptions} preemptions, {simulator.Cached} tokens from the prefix cache, {simulator.Accepted} drafts accepted");
        }
    }
}
