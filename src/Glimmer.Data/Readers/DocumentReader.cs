using System.Text;
using System.Text.Json;

namespace Glimmer.Data.Readers;

/// <summary>Reads documents from JSON lines (<c>.jsonl</c>, <c>.json</c>) and plain text (any other ending), compressed or not.</summary>
public sealed class DocumentReader
{
    private readonly ReaderOptions _options;
    private readonly JsonLinesReader _lines;

    /// <summary>Creates a reader.</summary>
    /// <param name="options">How to read.</param>
    public DocumentReader(ReaderOptions? options = null)
    {
        _options = options ?? new ReaderOptions();
        _lines = new JsonLinesReader(_options);
    }

    /// <summary>Lines that were left out so far.</summary>
    public long BadLineCount => _lines.BadLineCount;

    /// <summary>Reads files, one after the other.</summary>
    /// <param name="paths">The files.</param>
    /// <exception cref="ModelFormatException">A file is missing or malformed, or a line is no document and lines are not to be skipped; the message names file, line and byte.</exception>
    public IEnumerable<Document> Read(IEnumerable<string> paths) => paths.SelectMany(path => IsJson(path) ? ReadJson(path) : ReadText(path));

    private IEnumerable<Document> ReadJson(string path)
    {
        foreach (JsonLine line in _lines.Read(path))
        {
            if (!line.Value.TryGetProperty(_options.TextField, out JsonElement text) || text.ValueKind != JsonValueKind.String)
            {
                _lines.Report(new BadLine(line.Position, $"expected the string '{_options.TextField}'"));
                continue;
            }

            string? read = TextOf(text);
            if (read is null)
                _lines.Report(new BadLine(line.Position, $"'{_options.TextField}' holds half of a surrogate pair, which is no text"));
            else
                yield return new Document(IdOf(line), read);
        }
    }

    private static string? TextOf(JsonElement text)
    {
        try
        {
            return text.GetString();
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    private static string IdOf(JsonLine line) =>
        line.Value.TryGetProperty("id", out JsonElement id) && id.ValueKind is JsonValueKind.String or JsonValueKind.Number
            ? id.ToString()
            : $"{Path.GetFileName(line.Position.Path)}:{line.Position.Line}";

    private IEnumerable<Document> ReadText(string path)
    {
        var text = new StringBuilder();
        long first = 1;
        using var lines = new LineReader(path, _options.LongestLine);
        while (lines.TryRead(out ReadOnlyMemory<byte> bytes))
        {
            if (!TryDecode(bytes.Span, out string line))
            {
                _lines.Report(new BadLine(lines.Position, "the bytes are no UTF-8"));
                continue;
            }

            bool isBlank = string.IsNullOrWhiteSpace(line);
            if (text.Length == 0 && isBlank && _options.TextUnit != TextUnit.File)
                continue;
            if (text.Length == 0)
                first = lines.Position.Line;
            if (_options.TextUnit == TextUnit.Paragraph && isBlank)
            {
                yield return Take(path, first, text);
                continue;
            }

            text.Append(line).Append('\n');
            if (_options.TextUnit == TextUnit.Line)
                yield return Take(path, first, text);
        }

        if (text.Length > 0)
            yield return Take(path, first, text);
    }

    private Document Take(string path, long line, StringBuilder text)
    {
        string all = _options.TextUnit == TextUnit.File ? text.ToString() : text.ToString().TrimEnd('\n');
        text.Clear();
        return new Document(_options.TextUnit == TextUnit.File ? Path.GetFileName(path) : $"{Path.GetFileName(path)}:{line}", all);
    }

    private static bool TryDecode(ReadOnlySpan<byte> bytes, out string text)
    {
        bool isValid = System.Text.Unicode.Utf8.IsValid(bytes);
        text = isValid ? Encoding.UTF8.GetString(bytes) : "";
        return isValid;
    }

    private static bool IsJson(string path)
    {
        string name = DataFile.NameOf(path);
        return name.EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase) || name.EndsWith(".json", StringComparison.OrdinalIgnoreCase);
    }
}
