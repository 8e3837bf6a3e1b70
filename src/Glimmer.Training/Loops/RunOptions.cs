using Glimmer.Training.Runs;

namespace Glimmer.Training.Loops;

/// <summary>How long a run lasts, and what it writes when.</summary>
public sealed record RunOptions
{
    /// <summary>Folder of the run: checkpoints, <c>log.jsonl</c>, plots.</summary>
    public required string Folder { get; init; }

    /// <summary>What the run is started with; kept in its folder, and compared when the run goes on. Null keeps nothing.</summary>
    public RunSettings? Settings { get; init; }

    /// <summary>The run ends when so many tokens went through the model; null for no such end.</summary>
    public long? Tokens { get; init; }

    /// <summary>The run ends after so many steps; null for no such end.</summary>
    public long? Steps { get; init; }

    /// <summary>Tokens of the next global batch, of the tokens seen. Not asked for data whose batches have a fixed number of samples.</summary>
    public Func<double, long> BatchTokens { get; init; } = _ => 0;

    /// <summary>Steps between two checkpoints; 0 for one at the end only.</summary>
    public int SaveEvery { get; init; } = 500;

    /// <summary>Checkpoints that stay: the newest ones, among them the one with the lowest loss on held-out rows.</summary>
    public int KeepCheckpoints { get; init; } = 2;

    /// <summary>Whether training goes on while a checkpoint is written; takes memory for a second copy of weights and optimizer state.</summary>
    public bool SaveAsynchronously { get; init; }

    /// <summary>Whether event files for TensorBoard are written.</summary>
    public bool TensorBoard { get; init; } = true;

    /// <summary>Steps between two evaluations of the held-out rows; 0 for one at the end only.</summary>
    public int EvaluateEvery { get; init; }

    /// <summary>Evaluations in a row without a better loss after which the run ends; 0 for never.</summary>
    public int EarlyStop { get; init; }
}
