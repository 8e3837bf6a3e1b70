using System.Text;
using System.Text.Json;

namespace Glimmer.Environments.Evaluation;

/// <summary>Results as JSON Lines: a line with the settings, then one a sample. A run that was interrupted goes on where it stopped.</summary>
/// <remarks>Lines are appended as samples finish and put into the order of the data at the end, so the file of an interrupted run is in the end that of an undisturbed one.</remarks>
internal sealed class ResultsFile : IDisposable
{
    private readonly string _path;
    private readonly SortedDictionary<string, string> _settings;
    private readonly FileStream _stream;

    private ResultsFile(string path, SortedDictionary<string, string> settings, FileStream stream) => (_path, _settings, _stream) = (path, settings, stream);

    /// <summary>The results that are there, by sample.</summary>
    public Dictionary<string, SampleResult> Results { get; } = new(StringComparer.Ordinal);

    /// <summary>Opens or creates a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="settings">What the results depend on: task, data, model, limits.</param>
    /// <exception cref="ModelFormatException">The file is no results file, or its settings are others.</exception>
    public static ResultsFile Open(string path, SortedDictionary<string, string> settings)
    {
        var stream = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
        try
        {
            var file = new ResultsFile(path, settings, stream);
            file.Load();
            return file;
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    /// <summary>Keeps a result; it is in the file when the method returns. Not thread-safe.</summary>
    public void Add(SampleResult result)
    {
        Results[result.Id] = result;
        WriteLine(_stream, Line(result));
        _stream.Flush();
    }

    /// <summary>Writes all results in the order of the data, replaces the file at once and ends the work on it.</summary>
    /// <param name="ids">The samples in their order; results of others follow in the order in which they are there.</param>
    public void Sort(IEnumerable<string> ids)
    {
        string[] order = [.. ids.Where(Results.ContainsKey)];
        var known = new HashSet<string>(order, StringComparer.Ordinal);
        string temporary = _path + ".tmp";
        using (var sorted = new FileStream(temporary, FileMode.Create, FileAccess.Write))
        {
            WriteLine(sorted, Header());
            foreach (string id in order.Concat(Results.Keys.Where(id => !known.Contains(id)).ToArray()))
                WriteLine(sorted, Line(Results[id]));
            sorted.Flush(flushToDisk: true);
        }

        _stream.Dispose();
        File.Move(temporary, _path, overwrite: true);
    }

    /// <inheritdoc/>
    public void Dispose() => _stream.Dispose();

    private void Load()
    {
        byte[] bytes = new byte[_stream.Length];
        _stream.ReadExactly(bytes);
        string text = Encoding.UTF8.GetString(bytes);
        // What stands after the last line break was being written when the run was interrupted.
        int end = text.LastIndexOf('\n') + 1;
        string[] lines = text[..end].Split('\n', StringSplitOptions.RemoveEmptyEntries);
        if (lines.Length == 0 && text.Length > 0 && !text.StartsWith("{\"", StringComparison.Ordinal))
            throw new ModelFormatException($"'{_path}' holds something else than results of an evaluation; give another file.");
        _stream.SetLength(Encoding.UTF8.GetByteCount(text.AsSpan(0, end)));
        _stream.Position = _stream.Length;
        if (lines.Length == 0)
        {
            WriteLine(_stream, Header());
            _stream.Flush();
            return;
        }

        Compare(Read(() => JsonSerializer.Deserialize(lines[0], EvaluationJson.Readable.SortedDictionaryStringString), 1));
        for (int i = 1; i < lines.Length; i++)
        {
            SampleResult result = Read(() => JsonSerializer.Deserialize(lines[i], EvaluationJson.Readable.SampleResult), i + 1);
            Results[result.Id] = result;
        }
    }

    private void Compare(SortedDictionary<string, string> written)
    {
        foreach (string name in written.Keys.Union(_settings.Keys))
        {
            string before = written.GetValueOrDefault(name, "(none)"), now = _settings.GetValueOrDefault(name, "(none)");
            if (before != now)
                throw new ModelFormatException($"'{_path}' holds results with {name} {before}, not {now}. Give another file, or remove this one to begin again.");
        }
    }

    private T Read<T>(Func<T?> read, int line)
    {
        try
        {
            return read() ?? throw new JsonException("null");
        }
        catch (JsonException error)
        {
            throw new ModelFormatException($"Line {line} of '{_path}' is no result of an evaluation: {error.Message} Give another file, or remove this one to begin again.", error);
        }
    }

    private string Header() => JsonSerializer.Serialize(_settings, EvaluationJson.Readable.SortedDictionaryStringString);

    private static string Line(SampleResult result) => JsonSerializer.Serialize(result, EvaluationJson.Readable.SampleResult);

    private static void WriteLine(FileStream stream, string line) => stream.Write(Encoding.UTF8.GetBytes(line + "\n"));
}
