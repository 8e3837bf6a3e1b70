namespace Glimmer.Training.Runs;

/// <summary>Where a run keeps what. Checkpoints lie beside: see <see cref="Checkpoints.CheckpointFolder"/>.</summary>
public static class RunFolder
{
    /// <summary>Steps, evaluations, samples and notes: <c>log.jsonl</c>.</summary>
    public static string Log(string run) => Path.Combine(run, "log.jsonl");

    /// <summary>Machine, versions and command of the last start: <c>environment.json</c>.</summary>
    public static string Environment(string run) => Path.Combine(run, "environment.json");

    /// <summary>Event files: <c>tensorboard</c>.</summary>
    public static string TensorBoard(string run) => Path.Combine(run, "tensorboard");

    /// <summary>Plots: <c>plots</c>.</summary>
    public static string Plots(string run) => Path.Combine(run, "plots");

    /// <summary>The recipe that the run followed, defaults and flags merged, or null when none was kept: <c>recipe.yaml</c>, <c>recipe.json</c> or <c>args.json</c>.</summary>
    public static string? Recipe(string run) =>
        new[] { "recipe.yaml", "recipe.json", "args.json" }.Select(name => Path.Combine(run, name)).FirstOrDefault(File.Exists);
}
