using System.Text;
using System.Text.Json;
using Glimmer.Inference.Constraints;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Inference.Constraints;

/// <summary>The recordings of constrained decoding: lines of JSON under <c>rl</c>, and the tokenizer they were made with.</summary>
internal static class Recordings
{
    private static readonly Lazy<TokenTrie?> s_trie = new(() =>
        Fixtures.Folder(Path.Combine("tokenizer", "glm-32k")) is { } folder ? new TokenTrie(Tokenizer.Load(folder)) : null);

    /// <summary>The vocabulary of the recordings.</summary>
    public static TokenTrie Trie => s_trie.Value ?? throw new InvalidOperationException("The tokenizer glm-32k is not among the golden data.");

    /// <summary>The lines of a file, none when it is absent.</summary>
    public static JsonElement[] Lines(string file)
    {
        string? path = Fixtures.Folder("rl") is { } folder ? Path.Combine(folder, file) : null;
        if (path is null || !File.Exists(path))
            return [];
        return [.. File.ReadLines(path).Where(l => l.Length > 0).Select(l => JsonDocument.Parse(l).RootElement)];
    }

    /// <summary>Theory rows: the numbers of the lines with a name.</summary>
    public static TheoryData<string> Rows(string file, string name, Func<JsonElement, bool>? where = null) =>
        Fixtures.Rows(Lines(file).Select((line, i) => (line, i)).Where(l => where?.Invoke(l.line) ?? true).Select(l => $"{l.i}: {l.line.GetProperty(name)}"));

    /// <summary>The line of a row.</summary>
    public static JsonElement Line(string file, string row) => Lines(file)[int.Parse(row[..row.IndexOf(':')], System.Globalization.CultureInfo.InvariantCulture)];

    /// <summary>Whether a constraint takes a whole text, byte by byte.</summary>
    public static bool Accepts(Constraint constraint, string text)
    {
        if (text.Any(char.IsSurrogate) && Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)) != text)
            return false; // a lone surrogate has no UTF-8
        return constraint.Start().TryText(Encoding.UTF8.GetBytes(text), out bool canEnd) && canEnd;
    }

    public static IEnumerable<string> Strings(this JsonElement line, string name) =>
        line.TryGetProperty(name, out JsonElement list) ? list.EnumerateArray().Select(e => e.GetString()!) : [];
}
