using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Glimmer.Data.Mixing;

namespace Glimmer.Training.Sft;

/// <summary>Records of some files, and those that could not be read.</summary>
/// <param name="Records">The good ones, in the order of the files.</param>
/// <param name="Bad">The others, each with its reason.</param>
public sealed record SftDataset(IReadOnlyList<SftRecord> Records, IReadOnlyList<BadRecord> Bad)
{
    // What stands for bytes that are no UTF-8.
    private const char Undecoded = '\uFFFD';

    /// <summary>Reads files: <c>.jsonl</c> (one record a line), <c>.json</c> (a list), <c>.csv</c> (with a header), <c>.txt</c> (one text a line).</summary>
    /// <param name="sources">Paths; <c>path#n</c> takes n records: a sample in the order of the file, or, when it has fewer, all of them as often as they go into n and a sample of the rest.</param>
    /// <param name="seed">Seed of samples.</param>
    /// <exception cref="IOException">A file is missing or cannot be read.</exception>
    /// <exception cref="FormatException">A path names no known format, or its number of records is wrong.</exception>
    public static SftDataset Read(IEnumerable<string> sources, ulong seed = 42)
    {
        ArgumentNullException.ThrowIfNull(sources);
        var records = new List<SftRecord>();
        var bad = new List<BadRecord>();
        foreach (string source in sources)
        {
            int sharp = source.LastIndexOf('#');
            string path = sharp < 0 || File.Exists(source) ? source : source[..sharp];
            int? count = path.Length == source.Length ? null
                : int.TryParse(source.AsSpan(sharp + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int n) ? n : throw new FormatException($"'{source}': behind '#' stands how many records to take, a whole number.");
            if (!File.Exists(path))
                throw new FileNotFoundException($"There is no data file '{path}'. Data sets are local files: .jsonl, .json, .csv or .txt.");
            int first = records.Count;
            var isUtf8 = new Lazy<bool>(() => IsUtf8(path));
            foreach ((int line, Func<JsonElement> parse, string text) in Rows(path))
                Add(new RecordPlace(path, line), parse, text, isUtf8, records, bad);
            if (count is { } asked)
                Take(records, first, asked, seed);
        }

        return new SftDataset(records, bad);
    }

    /// <summary>Parts the records into those to train on and those held out, by the hash of each.</summary>
    /// <param name="share">Share held out, 0 to 1.</param>
    /// <param name="seed">Another seed holds out other records.</param>
    public (IReadOnlyList<SftRecord> Train, IReadOnlyList<SftRecord> HeldOut) Split(double share, ulong seed)
    {
        var train = new List<SftRecord>();
        var heldOut = new List<SftRecord>();
        Span<byte> key = stackalloc byte[16];
        foreach (SftRecord record in Records)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(key, record.Hash);
            BinaryPrimitives.WriteUInt64LittleEndian(key[8..], seed);
            double draw = (Hash(key) >> 11) * (1.0 / (1UL << 53));
            (draw < share ? heldOut : train).Add(record);
        }

        return (train, heldOut);
    }

    private static void Add(RecordPlace place, Func<JsonElement> parse, string text, Lazy<bool> isUtf8, List<SftRecord> records, List<BadRecord> bad)
    {
        try
        {
            if (text.Contains(Undecoded, StringComparison.Ordinal) && !isUtf8.Value)
                throw new FormatException("the bytes are no UTF-8");
            records.Add(SftRecordParser.Parse(parse(), place) with { Hash = Hash(Encoding.UTF8.GetBytes(text)) });
        }
        catch (JsonException error)
        {
            bad.Add(new BadRecord(place, $"not valid JSON: {error.Message}"));
        }
        catch (FormatException error)
        {
            bad.Add(new BadRecord(place, error.Message));
        }
        catch (InvalidOperationException)
        {
            bad.Add(new BadRecord(place, "a text holds half of a surrogate pair, which is no text"));
        }
    }

    private static IEnumerable<(int Line, Func<JsonElement> Parse, string Text)> Rows(string path) => Path.GetExtension(path).ToUpperInvariant() switch
    {
        ".JSONL" or ".NDJSON" => Lines(path).Select(line => (line.Number, new Func<JsonElement>(() => Parse(line.Text)), line.Text)),
        ".TXT" => Lines(path).Select(line => (line.Number, new Func<JsonElement>(() => Object([("text", line.Text)])), line.Text)),
        ".JSON" => List(path),
        ".CSV" => Table(path),
        _ => throw new FormatException($"'{path}' is of no known format: expected .jsonl, .json, .csv or .txt."),
    };

    private static IEnumerable<(int Number, string Text)> Lines(string path)
    {
        int number = 0;
        foreach (string line in File.ReadLines(path, Encoding.UTF8))
        {
            number++;
            if (!string.IsNullOrWhiteSpace(line))
                yield return (number, line);
        }
    }

    private static bool IsUtf8(string path)
    {
        using var reader = new StreamReader(path, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true));
        var text = new char[1 << 16];
        try
        {
            while (reader.Read(text) > 0)
            {
            }

            return true;
        }
        catch (DecoderFallbackException)
        {
            return false;
        }
    }

    private static IEnumerable<(int Line, Func<JsonElement> Parse, string Text)> List(string path)
    {
        JsonElement root;
        try
        {
            root = Parse(File.ReadAllText(path, Encoding.UTF8));
        }
        catch (JsonException error)
        {
            throw new FormatException($"'{path}' is not valid JSON: {error.Message} A file with one record a line is named .jsonl.");
        }

        if (root.ValueKind != JsonValueKind.Array)
            throw new FormatException($"'{path}' must be a list of records. A file with one record a line is named .jsonl.");
        int number = 0;
        foreach (JsonElement item in root.EnumerateArray())
            yield return (++number, () => item, item.GetRawText());
    }

    private static IEnumerable<(int Line, Func<JsonElement> Parse, string Text)> Table(string path)
    {
        using IEnumerator<(int Line, List<string> Cells)> rows = CsvRows.Read(File.ReadAllText(path, Encoding.UTF8)).GetEnumerator();
        if (!rows.MoveNext())
            yield break;
        List<string> header = rows.Current.Cells;
        while (rows.MoveNext())
        {
            (int line, List<string> cells) = rows.Current;
            string text = string.Join('\u001f', cells);
            yield return (line, () => cells.Count == header.Count ? Object(header.Zip(cells)) : throw new FormatException($"the row has {cells.Count} cells, the header {header.Count}."), text);
        }
    }

    private static JsonElement Parse(string text)
    {
        using JsonDocument document = JsonDocument.Parse(text);
        return document.RootElement.Clone();
    }

    // Columns that hold lists are kept as JSON in a table.
    private static JsonElement Object(IEnumerable<(string Name, string Value)> fields)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            foreach ((string name, string value) in fields)
            {
                json.WritePropertyName(name);
                if (name is "messages" or "conversations" or "conversation" or "history" or "chat_template_kwargs" && value.Length > 0)
                    json.WriteRawValue(value);
                else
                    json.WriteStringValue(value);
            }

            json.WriteEndObject();
        }

        return Parse(Encoding.UTF8.GetString(stream.ToArray()));
    }

    private static void Take(List<SftRecord> records, int first, int count, ulong seed)
    {
        SftRecord[] all = [.. records.Skip(first)];
        records.RemoveRange(first, all.Length);
        if (all.Length == 0)
            return;
        for (int whole = count / all.Length; whole > 0; whole--)
            records.AddRange(all);
        var order = new ShuffledOrder(all.Length, seed);
        records.AddRange(Enumerable.Range(0, count % all.Length).Select(i => order.At(0, i)).Order().Select(i => all[i]));
    }

    private static ulong Hash(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt64LittleEndian(SHA256.HashData(bytes));
}
