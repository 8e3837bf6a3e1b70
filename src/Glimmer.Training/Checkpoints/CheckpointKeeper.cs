using Glimmer.Training.Distributed;

namespace Glimmer.Training.Checkpoints;

/// <summary>Saves the checkpoints of a loop, if asked while training goes on.</summary>
/// <remarks>
/// Asynchronous: weights and optimizer state are copied at the step boundary, a thread writes the copy; one save is in flight at most, the next one waits for it.
/// A failed save is raised by the next call, which a loop makes at every step boundary (<see cref="Check"/>). The bytes of a checkpoint are those of a synchronous save.
/// Used by the thread that trains, alone. With several ranks every call is made by all of them: the root writes, the others give it their part of the optimizer state and learn of its failures.
/// </remarks>
/// <param name="folder">Where checkpoints go.</param>
/// <param name="asynchronous">Whether training goes on while one is written; takes memory for a second copy of weights and optimizer state.</param>
public sealed class CheckpointKeeper(CheckpointFolder folder, bool asynchronous = false) : IDisposable
{
    private readonly StagedTensors _staging = new();
    private Communicator _ranks = Communicator.Single; // the trainer's, from the first save on
    private Task<string>? _saving;

    /// <summary>Folder of the last checkpoint that is known to be complete, of those this object saved.</summary>
    public string? LastSaved { get; private set; }

    /// <summary>Saves the state between two steps.</summary>
    /// <param name="trainer">The trainer.</param>
    /// <param name="dataState">Where the next batch starts in the data, as JSON.</param>
    /// <param name="metric">How good the model is at this step, when that was measured.</param>
    /// <returns>The checkpoint's folder; there only when the save is done.</returns>
    /// <exception cref="IOException">The disk is full or cannot be written, now or in the save before. Older checkpoints are intact.</exception>
    public string Save(Trainer trainer, string dataState, double? metric = null)
    {
        _ranks = trainer.Ranks;
        Finish();
        if (!asynchronous)
            return LastSaved = folder.Save(trainer, dataState, metric);
        if (folder.Stage(trainer, dataState, metric, _staging) is { } write)
            _saving = Task.Run(write);
        return folder.PathOf(trainer.Steps);
    }

    /// <summary>Raises the failure of a save that has ended; does not wait. For every step boundary.</summary>
    /// <exception cref="IOException">The save in flight failed.</exception>
    public void Check()
    {
        if (_ranks.Any(_saving is { IsCompleted: true }))
            Finish();
    }

    /// <summary>Waits for the save in flight. A loop ends with it, so that a failure is seen.</summary>
    /// <exception cref="IOException">The save in flight failed.</exception>
    public void Finish() => _ranks.Together(() =>
    {
        Task<string>? saving = _saving;
        _saving = null;
        if (saving is not null)
            LastSaved = saving.GetAwaiter().GetResult();
    });

    /// <summary>Waits for the save in flight and drops its failure: an exception may be on its way already.</summary>
    public void Dispose()
    {
        ((IAsyncResult?)_saving)?.AsyncWaitHandle.WaitOne();
        _saving = null;
        _staging.Dispose();
    }
}
