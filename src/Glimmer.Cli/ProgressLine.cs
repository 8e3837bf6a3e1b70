using System.Diagnostics;

namespace Glimmer.Cli;

/// <summary>One line on the error stream that says how far a long step is; nothing unless that is a screen and the step takes a while. Removed at its end.</summary>
internal sealed class ProgressLine(Terminal terminal) : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(400);
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(100);

    private readonly Lock _lock = new();
    private readonly long _start = Stopwatch.GetTimestamp();
    private TimeSpan _next = s_patience;
    private bool _written;
    private bool _disposed;

    /// <summary>Whether anybody would see it.</summary>
    public bool IsShown => terminal.ErrorIsTerminal;

    /// <summary>Replaces the line; may be called from any thread.</summary>
    public void Show(string text)
    {
        if (!IsShown)
            return;
        lock (_lock)
        {
            TimeSpan now = Stopwatch.GetElapsedTime(_start);
            if (now < _next || _disposed)
                return;
            _next = now + s_interval;
            _written = true;
            terminal.Error.Write($"\r{text}\e[K");
        }
    }

    /// <summary>Shows a share from 0 to 1 as a percentage.</summary>
    public IProgress<double> Share(string what) => new Reporter<double>(share => Show($"{what}: {share:p0}"));

    /// <summary>Shows whatever is reported.</summary>
    public IProgress<T> Of<T>(Func<T, string> text) => new Reporter<T>(value => Show(text(value)));

    /// <summary>Removes the line, so that another one can be written.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            if (_written)
                terminal.Error.Write("\r\e[K");
            _written = false;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_written && !_disposed)
                terminal.Error.Write("\r\e[K");
            _disposed = true;
        }
    }

    // Progress<T> would post to the thread pool, out of order.
    private sealed class Reporter<T>(Action<T> report) : IProgress<T>
    {
        public void Report(T value) => report(value);
    }
}
