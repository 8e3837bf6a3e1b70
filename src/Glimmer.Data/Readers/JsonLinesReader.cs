using System.Text.Json;

namespace Glimmer.Data.Readers;

/// <summary>A record of a file of JSON lines.</summary>
/// <param name="Position">Where it stands.</param>
/// <param name="Value">The object.</param>
public readonly record struct JsonLine(FilePosition Position, JsonElement Value);

/// <summary>Reads files of JSON lines: an object a line, blank lines allowed, compressed when the name ends in <c>.gz</c> or <c>.zst</c>.</summary>
/// <remarks>Memory is that of one line. Duplicate keys of an object: the last one counts.</remarks>
public sealed class JsonLinesReader(ReaderOptions? options = null)
{
    private readonly ReaderOptions _options = options ?? new ReaderOptions();

    /// <summary>Records that were given so far, over all files.</summary>
    public long RecordCount { get; private set; }

    /// <summary>Lines that were left out so far.</summary>
    public long BadLineCount { get; private set; }

    /// <summary>Reads a file.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="ModelFormatException">There is no such file, it cannot be decompressed, or a line is no object and lines are not to be skipped; the message names file, line and byte.</exception>
    public IEnumerable<JsonLine> Read(string path)
    {
        using var lines = new LineReader(path, _options.LongestLine);
        while (lines.TryRead(out ReadOnlyMemory<byte> line))
        {
            if (line.Span.IndexOfAnyExcept((byte)' ', (byte)'\t') < 0)
                continue;
            if (TryParse(line, out JsonElement value, out string reason))
            {
                RecordCount++;
                yield return new JsonLine(lines.Position, value);
            }
            else
            {
                Report(new BadLine(lines.Position, reason));
            }
        }
    }

    /// <summary>Counts a line as bad: for callers that find a record unusable.</summary>
    /// <param name="line">The line and what is wrong with it.</param>
    /// <exception cref="ModelFormatException">Lines are not to be skipped.</exception>
    public void Report(BadLine line)
    {
        if (_options.BadLines == BadLines.Stop)
            throw new ModelFormatException($"{line}. Correct it, or have bad lines skipped.");
        BadLineCount++;
        _options.OnBadLine?.Invoke(line);
    }

    private static bool TryParse(ReadOnlyMemory<byte> line, out JsonElement value, out string reason)
    {
        value = default;
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            if (document.RootElement.ValueKind == JsonValueKind.Object)
            {
                value = document.RootElement.Clone();
                reason = "";
                return true;
            }

            reason = $"expected a JSON object, found {document.RootElement.ValueKind}";
        }
        catch (JsonException e)
        {
            reason = $"no JSON (byte {e.BytePositionInLine} of the line): {Short(e.Message)}";
        }

        return false;
    }

    private static string Short(string message)
    {
        int end = message.IndexOf(" LineNumber", StringComparison.Ordinal);
        return end > 0 ? message[..end].TrimEnd('.') : message;
    }
}
