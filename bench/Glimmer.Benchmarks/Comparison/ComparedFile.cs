namespace Glimmer.Benchmarks.Comparison;

/// <summary>A row that compares one test with llama.cpp on the same file.</summary>
/// <param name="Test">Name of the test, which both sides have.</param>
/// <param name="Bar">Least ratio of speeds.</param>
/// <param name="Activations">Ours: <c>q8</c> as the peer computes, or <c>f32</c>.</param>
/// <param name="ReadShareBar">Least share of plain read bandwidth, in a row of its own; 0 for none.</param>
internal sealed record ComparedTest(string Test, double Bar, string Activations = "q8", double ReadShareBar = 0);

/// <summary>A file that both sides run, with its rows.</summary>
/// <param name="Work">Name of the work on the command line.</param>
/// <param name="Shape">Shape of the peer's generator; null for the model of the repository.</param>
/// <param name="Type">Its element type.</param>
/// <param name="Tests">Rows.</param>
internal sealed record ComparedFile(string Work, string? Shape, string Type, IReadOnlyList<ComparedTest> Tests)
{
    /// <summary>The files of the table, small ones first.</summary>
    public static IReadOnlyList<ComparedFile> All { get; } =
    [
        new("embedded", null, "q4_1", [new("tg32", 1.5), new("pp512", 2), new("tg32", 1, "f32")]),
        new("air-slice-q4_0", "air-slice", "q4_0", [new("tg32", 1.5, ReadShareBar: 0.85), new("pp512", 2), new("tg32b8", 1.5)]),
        new("mid-bf16", "mid", "bf16", [new("tg32", 1.2), new("pp512", 1.1)]),
        new("air-slice-q4_k", "air-slice", "q4_k", [new("tg32", 1.6), new("pp512", 2)]),
        new("air-slice-q8_0", "air-slice", "q8_0", [new("tg32", 1.5, ReadShareBar: 0.85), new("pp512", 2), new("tg32b8", 1.5)]),
    ];
}
