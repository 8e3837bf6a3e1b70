using Glimmer.Training.TensorBoard;

namespace Glimmer.Training.Runs;

/// <summary>How a run is recorded.</summary>
public sealed record RunRecorderOptions
{
    /// <summary>Whether event files for TensorBoard are written beside the log.</summary>
    public bool TensorBoard { get; init; } = true;

    /// <summary>Threads that train, for <c>environment.json</c>.</summary>
    public int? Threads { get; init; }

    /// <summary>Processes that train together, for <c>environment.json</c>.</summary>
    public int Ranks { get; init; } = 1;

    /// <summary>Clock; null for the system's.</summary>
    public TimeProvider? Time { get; init; }
}

/// <summary>What training has taken from the machine after a step.</summary>
/// <param name="MemoryBytes">Memory of the process.</param>
/// <param name="Elapsed">Time since the process began to train.</param>
/// <param name="Remaining">Time that the rest takes at the present speed; null when the end is not known.</param>
/// <param name="ShareOfPeak">As in <see cref="Loops.RunProgress.ShareOfPeak"/>.</param>
public readonly record struct StepCost(long MemoryBytes, TimeSpan Elapsed, TimeSpan? Remaining, double? ShareOfPeak);

/// <summary>Everything a loop says about itself goes through here: the log, event files, at the end the plots.</summary>
/// <remarks>
/// Used by the thread that trains, alone. Nothing is lost when the process dies: each line of the log is with the operating system when the call returns.
/// A run that is opened and takes no step leaves everything as it was.
/// </remarks>
public sealed class RunRecorder : IDisposable
{
    private readonly string _run;
    private readonly long _nextStep;
    private readonly RunRecorderOptions _options;
    private readonly FileStream _lock;
    private readonly RunLog _log;
    private EventFile? _events;
    private bool _started;

    private RunRecorder(string run, long nextStep, RunRecorderOptions options, FileStream @lock, RunLog log) => (_run, _nextStep, _options, _lock, _log) = (run, nextStep, options, @lock, log);

    /// <summary>Starts or continues the record of a run.</summary>
    /// <param name="run">Folder of the run; created when it is not there.</param>
    /// <param name="nextStep">First step that will be taken: 0, or the steps of the checkpoint that the run goes on from. Later ones in the log are removed.</param>
    /// <param name="options">How.</param>
    /// <exception cref="IOException">The folder cannot be written, or another process records the same run.</exception>
    public static RunRecorder Open(string run, long nextStep = 0, RunRecorderOptions? options = null)
    {
        options ??= new RunRecorderOptions();
        Directory.CreateDirectory(run);
        FileStream @lock = Lock(run);
        try
        {
            return new RunRecorder(run, nextStep, options, @lock, RunLog.Open(RunFolder.Log(run), nextStep, options.Time));
        }
        catch
        {
            @lock.Dispose();
            throw;
        }
    }

    /// <summary>A figure of all evaluations so far, in order, with the steps taken by then.</summary>
    /// <param name="figure">Its name.</param>
    public IReadOnlyList<(long Steps, double Value)> Evaluations(string figure) => _log.Evaluations(figure);

    /// <summary>Records a step.</summary>
    /// <param name="report">What it did.</param>
    /// <param name="seconds">How long it took.</param>
    /// <param name="cost">What it took from the machine; null where that is not known.</param>
    /// <exception cref="IOException">The disk is full.</exception>
    public void Step(StepReport report, double seconds, StepCost? cost = null)
    {
        Start();
        _log.Write(report, seconds, cost);
        _events?.Write(report.Step, Scalars(report, seconds));
        _events?.Flush();
    }

    /// <summary>Records an evaluation between two steps; call it before the checkpoint of that place is saved.</summary>
    /// <param name="steps">Steps taken.</param>
    /// <param name="figures">Figures by name: <c>valid_loss</c>, <c>mtp_acceptance</c> (share of first drafts that are accepted) ...</param>
    public void Evaluation(long steps, IReadOnlyDictionary<string, double> figures)
    {
        Start();
        _log.WriteEvaluation(steps, figures);
        // At the last step: a reader of event files drops what lies at the step where a run goes on.
        _events?.Write(Math.Max(0, steps - 1), figures.Select(figure => KeyValuePair.Create("eval/" + figure.Key, figure.Value)));
        _events?.Flush();
    }

    /// <summary>Records what the model says.</summary>
    /// <param name="steps">Steps taken.</param>
    /// <param name="prompt">What it was given.</param>
    /// <param name="text">What it answered.</param>
    public void Sample(long steps, string prompt, string text) => _log.WriteSample(steps, prompt, text);

    /// <summary>Records an event.</summary>
    /// <param name="steps">Steps taken.</param>
    /// <param name="note">One sentence.</param>
    public void Note(long steps, string note) => _log.WriteNote(steps, note);

    /// <summary>Draws the plots of everything that was recorded so far: at the end of a run, and when Ctrl-C stops it.</summary>
    /// <returns>The files.</returns>
    /// <exception cref="IOException">The disk is full.</exception>
    public IReadOnlyList<string> WritePlots() => Plots.RunPlots.Write(_run);

    /// <inheritdoc/>
    public void Dispose()
    {
        _log.Dispose();
        _events?.Dispose();
        _lock.Dispose();
    }

    /// <summary>Keeps other processes from a run. The lock goes with the process, also when that is killed; the file stays.</summary>
    /// <exception cref="IOException">Another process has it.</exception>
    internal static FileStream Lock(string run)
    {
        string path = Path.Combine(run, "run.lock");
        try
        {
            return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (File.Exists(path))
        {
            throw new IOException($"Another process is training in '{run}': it holds '{Path.GetFileName(path)}'. Wait for its end or choose another folder. ({e.Message})", e);
        }
    }

    private void Start()
    {
        if (_started)
            return;
        _started = true;
        RunEnvironment.Write(_run, _options.Threads, _options.Ranks);
        if (_log.Continues) // a stage that takes over the steps of another folder begins here
            _log.WriteNote(_nextStep, $"Resumed after {_nextStep} steps.");
        _events = _options.TensorBoard ? EventFile.Create(RunFolder.TensorBoard(_run), _nextStep, _options.Time) : null;
    }

    private static IEnumerable<KeyValuePair<string, double>> Scalars(StepReport report, double seconds)
    {
        yield return new("train/loss", report.Loss);
        yield return new("train/objective", report.Objective);
        yield return new("train/grad_norm", report.GradientNorm);
        yield return new("train/lr", report.LearningRate);
        for (int depth = 0; depth < report.NextTokenLosses.Count; depth++)
            yield return new($"train/mtp_loss_{depth + 1}", report.NextTokenLosses[depth]);
        for (int layer = 0; layer < report.IndexerLosses.Count; layer++)
            yield return new($"train/indexer_loss_{layer + 1}", report.IndexerLosses[layer]);
        foreach ((string channel, double loss) in report.ChannelLosses)
            yield return new($"train/channel_loss/{channel}", loss);
        foreach (Balance.ExpertLoad load in report.Experts)
            yield return new($"max_vio/{load.Router}", load.MaxVio);
        yield return new("speed/tokens_per_second", seconds > 0 ? report.Tokens / seconds : 0);
    }
}
