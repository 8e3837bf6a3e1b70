using System.Text;
using System.Text.Json;

namespace Glimmer.Tokenization;

/// <summary>Reads the documents of a training corpus from files, without holding a whole file.</summary>
public static class TrainingText
{
    private const int PartChars = 1 << 20;

    /// <summary>
    /// Documents of files: the <c>text</c> of each line of a <c>.jsonl</c> file; other files are one document each, given in parts of about a million characters
    /// that are cut where pieces end under every pre-tokenizer (between a line break and a letter or digit of ASCII).
    /// </summary>
    /// <exception cref="IOException">A file cannot be read.</exception>
    /// <exception cref="FormatException">A line of a <c>.jsonl</c> file is no object with a text.</exception>
    public static IEnumerable<string> Read(IEnumerable<string> paths)
    {
        ArgumentNullException.ThrowIfNull(paths);
        return paths.SelectMany(path => path.EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase) ? Lines(path) : Parts(path));
    }

    private static IEnumerable<string> Lines(string path)
    {
        int number = 0;
        foreach (string line in File.ReadLines(path))
        {
            number++;
            if (!string.IsNullOrWhiteSpace(line))
                yield return TextOf(line) ?? throw new FormatException($"'{path}', line {number}: expected an object with the string 'text'.");
        }
    }

    private static string? TextOf(string line)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(line);
            return json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty("text", out JsonElement text) && text.ValueKind == JsonValueKind.String
                ? text.GetString()
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static IEnumerable<string> Parts(string path)
    {
        using var reader = new StreamReader(path, Encoding.UTF8);
        var buffer = new char[PartChars];
        var text = new StringBuilder();
        for (int count; (count = reader.ReadBlock(buffer)) > 0;)
        {
            text.Append(buffer, 0, count);
            string all = text.ToString();
            int cut = CutOf(all);
            if (cut == 0)
                continue;
            yield return all[..cut];
            text.Clear().Append(all, cut, all.Length - cut);
        }

        if (text.Length > 0)
            yield return text.ToString();
    }

    private static int CutOf(string text)
    {
        for (int i = text.Length - 1; i > 0; i--)
        {
            if (text[i - 1] == '\n' && char.IsAsciiLetterOrDigit(text[i]))
                return i;
        }

        return 0;
    }
}
