using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using Glimmer.Data.Mixing;
using Glimmer.Data.Readers;

namespace Glimmer.Training.Sft;

/// <summary>Records of some files, and those that could not be read.</summary>
/// <param name="Records">The good ones, in the order of the files.</param>
/// <param name="Bad">The others, each with its reason.</param>
public sealed record SftDataset(IReadOnlyList<SftRecord> Records, IReadOnlyList<BadRecord> Bad)
{
    private const int LongestLine = 1 << 30;

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
            foreach ((int line, Func<JsonElement> parse, string text) in Rows(path))
                Add(new RecordPlace(path, line), parse, text, records, bad);
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

    private static void Add(RecordPlace place, Func<JsonElement> parse, string text, List<SftRecord> records, List<BadRecord> bad)
    {
        try
        {
            JsonElement json = parse();
            CheckText(json);
            records.Add(SftRecordParser.Parse(json, place) with { Hash = Hash(Encoding.UTF8.GetBytes(text)) });
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
        ".JSONL" or ".NDJSON" => Lines(path, Parse),
        ".TXT" => Lines(path, line => Object([("text", line)])),
        ".JSON" => List(path),
        ".CSV" => Table(path),
        _ => throw new FormatException($"'{path}' is of no known format: expected .jsonl, .json, .csv or .txt."),
    };

    private static IEnumerable<(int Line, Func<JsonElement> Parse, string Text)> Lines(string path, Func<string, JsonElement> parse)
    {
        using var lines = new LineReader(path, LongestLine);
        while (lines.TryRead(out ReadOnlyMemory<byte> bytes))
        {
            string line = Encoding.UTF8.GetString(bytes.Span);
            if (!Utf8.IsValid(bytes.Span))
                yield return ((int)lines.Position.Line, () => throw new FormatException("the bytes are no UTF-8"), line);
            else if (!string.IsNullOrWhiteSpace(line))
                yield return ((int)lines.Position.Line, () => parse(line), line);
        }
    }

    // A text that is asked for is decoded, which fails for half of a surrogate pair, wherever in the record it stands.
    private static void CheckText(JsonElement json)
    {
        if (json.ValueKind == JsonValueKind.String)
        {
            json.GetString();
        }
        else if (json.ValueKind == JsonValueKind.Array)
        {
            foreach (JsonElement item in json.EnumerateArray())
                CheckText(item);
        }
        else if (json.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty property in json.EnumerateObject())
            {
                _ = property.Name;
                CheckText(property.Value);
            }
        }
    }

    private static string ReadText(string path)
    {
        try
        {
            return File.ReadAllText(path, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true));
        }
        catch (DecoderFallbackException)
        {
            throw new FormatException($"'{path}': the bytes are no UTF-8.");
        }
    }

    private static IEnumerable<(int Line, Func<JsonElement> Parse, string Text)> List(string path)
    {
        JsonElement root;
        try
        {
            root = Parse(ReadText(path));
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
        using IEnumerator<(int Line, List<string> Cells)> rows = CsvRows.Read(ReadText(path)).GetEnumerator();
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
