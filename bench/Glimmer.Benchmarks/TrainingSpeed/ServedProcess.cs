using System.Diagnostics;
using System.Text.Json;

namespace Glimmer.Benchmarks.TrainingSpeed;

/// <summary>A program that measures one block for every line it is sent, so that two of them take turns while both stay warm.</summary>
internal sealed class ServedProcess : IDisposable
{
    private readonly Process _process;
    private readonly Task<string> _errors;

    /// <summary>Starts it and waits for its warm-up.</summary>
    /// <param name="program">Program.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="preload">A library that is loaded before its own, or nothing.</param>
    /// <exception cref="InvalidOperationException">It ended; the message has the end of its error stream.</exception>
    public ServedProcess(string program, string[] arguments, string preload)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        // Waiting threads of OpenMP sleep at once, so that a program that is not measured uses no processor.
        start.Environment["OMP_WAIT_POLICY"] = "PASSIVE";
        if (preload.Length > 0)
            start.Environment["LD_PRELOAD"] = preload;
        _process = Process.Start(start)!;
        _errors = _process.StandardError.ReadToEndAsync();
        Read();
    }

    /// <summary>Measures a block.</summary>
    public JsonElement Block()
    {
        _process.StandardInput.WriteLine("block");
        _process.StandardInput.Flush();
        return Read();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _process.StandardInput.Close();
        if (!_process.WaitForExit(10_000))
            _process.Kill();
        _process.Dispose();
    }

    private JsonElement Read()
    {
        while (_process.StandardOutput.ReadLine() is { } line)
        {
            if (line.StartsWith('{'))
                return JsonDocument.Parse(line).RootElement;
        }

        _process.WaitForExit();
        throw new InvalidOperationException($"'{_process.StartInfo.FileName}' ended with {_process.ExitCode}: {_errors.GetAwaiter().GetResult().Trim().Split('\n')[^1]}");
    }
}
