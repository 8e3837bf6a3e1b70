using System.IO.Compression;
using System.Text;
using Glimmer.Data;
using Glimmer.Data.Readers;

namespace Glimmer.Tests.Data.Readers;

public class ReaderTests
{
    [Theory]
    [InlineData("")]
    [InlineData(".gz")]
    [InlineData(".zst")]
    public void Lines_are_read_with_their_places_whatever_the_compression(string ending)
    {
        using var folder = new TemporaryFolder();
        // Longer than the reader's buffer, so that lines cross its end.
        string[] lines = [.. Enumerable.Range(0, 300).Select(i => $"{{\"id\": {i}, \"text\": \"{new string('x', i * 7)}é\"}}")];
        string path = Write(folder, "a.jsonl" + ending, "\uFEFF" + string.Join("\r\n", lines) + "\n\n  \n");
        var reader = new JsonLinesReader();
        JsonLine[] read = [.. reader.Read(path)];
        Assert.Equal(300, read.Length);
        Assert.Equal(300, reader.RecordCount);
        long offset = 3;
        for (int i = 0; i < read.Length; i++)
        {
            Assert.Equal(new FilePosition(path, i + 1, i == 0 ? 0 : offset), read[i].Position);
            Assert.Equal(i * 7 + 1, read[i].Value.GetProperty("text").GetString()!.Length);
            offset += Encoding.UTF8.GetByteCount(lines[i]) + 2;
        }
    }

    [Fact]
    public void A_bad_line_stops_reading_with_file_line_and_byte()
    {
        using var folder = new TemporaryFolder();
        string path = Write(folder, "a.jsonl", "{\"text\": \"a\"}\n[1]\n");
        string message = Assert.Throws<ModelFormatException>(() => new JsonLinesReader().Read(path).Count()).Message;
        Assert.Contains($"'{path}', line 2 (byte 14): expected a JSON object, found Array", message, StringComparison.Ordinal);
        path = Write(folder, "b.jsonl", "{\"text\": \n");
        Assert.Contains("line 1 (byte 0): no JSON", Assert.Throws<ModelFormatException>(() => new JsonLinesReader().Read(path).Count()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bad_lines_are_skipped_counted_and_reported_on_request()
    {
        using var folder = new TemporaryFolder();
        string path = Write(folder, "a.jsonl", "{\"text\": \"a\"}\nnothing\n{\"text\": 3}\n{\"text\": \"\\ud800\"}\n{\"id\": \"last\", \"text\": \"b\"}");
        var reported = new List<BadLine>();
        var reader = new DocumentReader(new ReaderOptions { BadLines = BadLines.Skip, OnBadLine = reported.Add });
        Assert.Equal([new Document("a.jsonl:1", "a"), new Document("last", "b")], reader.Read([path]));
        Assert.Equal(3, reader.BadLineCount);
        Assert.Equal([2, 3, 4], reported.Select(line => line.Position.Line));
        Assert.Contains("expected the string 'text'", reported[1].Reason, StringComparison.Ordinal);
    }

    [Fact]
    public void Plain_text_is_cut_as_asked()
    {
        using var folder = new TemporaryFolder();
        string path = Write(folder, "a.txt", "\none\ntwo\n\n\nthree\n");
        Assert.Equal(["\none\ntwo\n\n\nthree\n"], Texts(TextUnit.File));
        Assert.Equal(["one", "two", "three"], Texts(TextUnit.Line));
        Assert.Equal(["one\ntwo", "three"], Texts(TextUnit.Paragraph));
        Assert.Equal(["a.txt:2", "a.txt:6"], new DocumentReader(new ReaderOptions { TextUnit = TextUnit.Paragraph }).Read([path]).Select(d => d.Id));

        IEnumerable<string> Texts(TextUnit unit) => new DocumentReader(new ReaderOptions { TextUnit = unit }).Read([path]).Select(document => document.Text);
    }

    [Fact]
    public void Damaged_compression_and_invalid_bytes_are_errors_with_their_place()
    {
        using var folder = new TemporaryFolder();
        string path = Write(folder, "a.jsonl.gz", string.Concat(Enumerable.Range(0, 5000).Select(i => $"{{\"text\": \"{i * 7919}\"}}\n")));
        byte[] bytes = File.ReadAllBytes(path);
        bytes[bytes.Length / 2] ^= 0xFF;
        File.WriteAllBytes(path, bytes);
        Assert.Contains($"'{path}', line ", Assert.Throws<ModelFormatException>(() => new JsonLinesReader().Read(path).Count()).Message, StringComparison.Ordinal);
        string text = folder["b.txt"];
        File.WriteAllBytes(text, [(byte)'a', (byte)'\n', 0xC3, (byte)'\n']);
        Assert.Contains("line 2 (byte 2): the bytes are no UTF-8", Assert.Throws<ModelFormatException>(() => new DocumentReader().Read([text]).Count()).Message, StringComparison.Ordinal);
        Assert.Contains("does not exist", Assert.Throws<ModelFormatException>(() => new DocumentReader().Read([folder["c.txt"]]).Count()).Message, StringComparison.Ordinal);
        Assert.Contains("more than 10 bytes", Assert.Throws<ModelFormatException>(() => new DocumentReader(new ReaderOptions { LongestLine = 10 }).Read([Write(folder, "d.txt", new string('x', 1 << 17))]).Count()).Message, StringComparison.Ordinal);
    }

    private static string Write(TemporaryFolder folder, string name, string text)
    {
        string path = folder[name];
        using FileStream file = File.Create(path);
        using Stream stream = name.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(file, CompressionMode.Compress) : name.EndsWith(".zst", StringComparison.Ordinal) ? new ZstdSharp.CompressionStream(file) : file;
        stream.Write(Encoding.UTF8.GetBytes(text));
        return path;
    }
}
