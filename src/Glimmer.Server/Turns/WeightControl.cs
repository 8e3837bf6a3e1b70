using Glimmer.Inference;
using Glimmer.Models;

namespace Glimmer.Server.Turns;

/// <summary>Pausing, flushing and replacing the weights of a running engine, for those who train the model it serves.</summary>
/// <param name="engine">The engine; not owned.</param>
/// <param name="model">The model it runs; not owned.</param>
public sealed class WeightControl(Engine engine, LoadedModel model)
{
    private readonly SemaphoreSlim _updating = new(1);

    /// <summary>The name of the weights, as the one who loaded them calls it.</summary>
    public string Version { get; set; } = "default";

    /// <summary>Whether the engine is paused.</summary>
    public bool IsPaused => engine.IsPaused;

    /// <summary>Counts of the engine.</summary>
    public EngineStatistics Statistics => engine.Statistics;

    /// <summary>Stops between two steps.</summary>
    public Task<int> PauseAsync(PauseMode mode) => engine.PauseAsync(mode);

    /// <summary>Goes on.</summary>
    public Task ContinueAsync() => engine.ContinueAsync();

    /// <summary>Forgets cached prefixes; false while requests run or wait.</summary>
    public Task<bool> FlushAsync() => engine.FlushCacheAsync();

    /// <summary>Gives the memory of keys and values back and pauses; null while requests run or wait.</summary>
    public Task<long?> ReleaseMemoryAsync() => engine.ReleaseMemoryAsync();

    /// <summary>Loads other weights; on failure the old ones stay.</summary>
    /// <param name="path">A Hugging Face folder or a GGUF file.</param>
    /// <param name="version">Their name; null counts on.</param>
    /// <param name="cancellationToken">Ends the loading.</param>
    /// <exception cref="ModelFormatException">A file is missing or damaged.</exception>
    /// <exception cref="UnsupportedModelException">The weights have another shape.</exception>
    public async Task UpdateAsync(string path, string? version, CancellationToken cancellationToken)
    {
        await _updating.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            int number = await model.UpdateWeightsAsync(engine, path, cancellationToken).ConfigureAwait(false);
            Version = version ?? number.ToString(System.Globalization.CultureInfo.InvariantCulture);
        }
        finally
        {
            _updating.Release();
        }
    }
}
