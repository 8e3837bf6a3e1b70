using Glimmer.Training.Runs;

namespace Glimmer.Tests.Training.Loops;

/// <summary>Whether two runs are the same to the bit, times aside.</summary>
internal static class SameRun
{
    /// <summary>Fails with the first file of two checkpoints that differs.</summary>
    public static void AssertCheckpoints(string expected, string actual)
    {
        foreach (string file in (string[])["model.safetensors", "optimizer/model.safetensors", "trainer_state.json", "config.json"])
            Assert.True(File.ReadAllBytes(Path.Combine(expected, file)).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(actual, file))), $"{file} differs");
    }

    /// <summary>Fails with the first step or evaluation of two logs that differs.</summary>
    public static void AssertLogs(string expected, string actual)
    {
        RunHistory one = RunHistory.Read(expected), other = RunHistory.Read(actual);
        Assert.Equal(one.Steps.Select(step => Text(step.Step, step.Figures)), other.Steps.Select(step => Text(step.Step, step.Figures)));
        Assert.Equal(one.Evaluations.Select(e => Text(e.Steps, e.Figures)), other.Evaluations.Select(e => Text(e.Steps, e.Figures)));
    }

    private static string Text(long step, IReadOnlyDictionary<string, double> figures) =>
        FormattableString.Invariant($"{step}: ") + string.Join(' ', figures.Where(figure => !figure.Key.Contains("second", StringComparison.Ordinal) && figure.Key is not ("memory_bytes" or "share_of_peak")).Select(figure => FormattableString.Invariant($"{figure.Key}={figure.Value:r}")));
}
