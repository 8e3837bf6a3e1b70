using System.Buffers.Binary;
using System.Text;
using Glimmer.Training.TensorBoard;

namespace Glimmer.Tests.Training.TensorBoard;

public class EventFileTests
{
    [Fact]
    public void The_checksum_is_that_of_the_published_vectors()
    {
        // RFC 3720, B.4; the reader below has its own table-driven CRC, checked against the same vectors.
        Assert.Equal(0xE3069283u, Crc("123456789"u8));
        Assert.Equal(0x8A9136AAu, Crc(new byte[32]));
        byte[] ascending = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];
        Assert.Equal(0x46DD794Eu, Crc(ascending));
        foreach (byte[] data in new[] { "123456789"u8.ToArray(), ascending, [] })
            Assert.Equal(Masked(Crc(data)), EventFile.MaskedChecksum(data));
    }

    [Fact]
    public void An_independent_reader_finds_every_scalar()
    {
        using var folder = new TemporaryFolder();
        var clock = new Clock();
        string path;
        using (EventFile events = EventFile.Create(folder["tb"], time: clock))
        {
            path = events.Path;
            events.Write(0, [new("train/loss", 4.25), new("train/lr", 0.001)]);
            events.Write(300, [new("eval/valid_loss", double.NaN)]);
        }

        Event[] read = [.. Read(File.ReadAllBytes(path))];
        Assert.Equal("brain.Event:2", read[0].FileVersion);
        Assert.Equal((1, 0), (read[1].SessionStatus, read[1].Step));
        Assert.Equal([("train/loss", 4.25f), ("train/lr", 0.001f)], read[2].Scalars);
        Assert.Equal(300, read[3].Step);
        Assert.Equal([("eval/valid_loss", float.NaN)], read[3].Scalars);
        Assert.All(read, e => Assert.Equal(1_700_000_000.5, e.WallTime));
    }

    [Fact]
    public void A_run_that_goes_on_opens_a_later_file_that_starts_a_session_at_its_step()
    {
        using var folder = new TemporaryFolder();
        var clock = new Clock();
        using (EventFile.Create(folder["tb"], time: clock))
        {
        }

        using (EventFile.Create(folder["tb"], nextStep: 7, clock))
        {
        }

        string[] files = [.. Directory.EnumerateFiles(folder["tb"]).Order(StringComparer.Ordinal)];
        Assert.Equal(2, files.Length);
        Assert.All(files, file => Assert.StartsWith("events.out.tfevents.1700000000.", Path.GetFileName(file), StringComparison.Ordinal));
        Assert.Equal((1, 7), Read(File.ReadAllBytes(files[1])).Select(e => (e.SessionStatus, e.Step)).Last());
    }

    private sealed class Clock : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_000_500);
    }

    private sealed class Event
    {
        public double WallTime;
        public long Step;
        public string? FileVersion;
        public int SessionStatus;
        public List<(string Tag, float Value)> Scalars = [];
    }

    // TFRecord and protobuf, written for this test from the format's descriptions alone.
    private static IEnumerable<Event> Read(byte[] file)
    {
        for (int at = 0; at < file.Length;)
        {
            int length = (int)BinaryPrimitives.ReadUInt64LittleEndian(file.AsSpan(at));
            Assert.Equal(Masked(Crc(file.AsSpan(at, 8))), BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at + 8)));
            byte[] data = file[(at + 12)..(at + 12 + length)];
            Assert.Equal(Masked(Crc(data)), BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at + 12 + length)));
            at += 16 + length;
            var result = new Event();
            foreach ((int field, object value) in Fields(data))
            {
                switch (field)
                {
                    case 1: result.WallTime = BitConverter.Int64BitsToDouble((long)(ulong)value); break;
                    case 2: result.Step = (long)(ulong)value; break;
                    case 3: result.FileVersion = Encoding.UTF8.GetString((byte[])value); break;
                    case 5: result.Scalars.AddRange(Fields((byte[])value).Select(item => Scalar((byte[])item.Value))); break;
                    case 7: result.SessionStatus = (int)(ulong)Fields((byte[])value).Single().Value; break;
                    default: Assert.Fail($"unknown field {field}"); break;
                }
            }

            yield return result;
        }
    }

    private static (string, float) Scalar(byte[] message)
    {
        Dictionary<int, object> fields = Fields(message).ToDictionary(f => f.Field, f => f.Value);
        return (Encoding.UTF8.GetString((byte[])fields[1]), BitConverter.UInt32BitsToSingle((uint)fields[2]));
    }

    private static List<(int Field, object Value)> Fields(byte[] message)
    {
        var fields = new List<(int, object)>();
        int at = 0;
        while (at < message.Length)
        {
            ulong key = Varint();
            int field = (int)(key / 8);
            switch (key % 8)
            {
                case 0: fields.Add((field, Varint())); break;
                case 1: fields.Add((field, BinaryPrimitives.ReadUInt64LittleEndian(message.AsSpan(at)))); at += 8; break;
                case 2:
                    int length = (int)Varint();
                    fields.Add((field, message[at..(at + length)]));
                    at += length;
                    break;
                case 5: fields.Add((field, BinaryPrimitives.ReadUInt32LittleEndian(message.AsSpan(at)))); at += 4; break;
                default: Assert.Fail($"wire type {key % 8}"); break;
            }
        }

        return fields;

        ulong Varint()
        {
            ulong value = 0;
            for (int shift = 0; ; shift += 7)
            {
                byte b = message[at++];
                value |= (ulong)(b & 127) << shift;
                if (b < 128)
                    return value;
            }
        }
    }

    private static uint Masked(uint crc) => unchecked(((crc >> 15) | (crc << 17)) + 0xa282ead8u);

    private static uint Crc(ReadOnlySpan<byte> data)
    {
        uint crc = 0xFFFFFFFF;
        foreach (byte b in data)
        {
            crc ^= b;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc >> 1) ^ ((crc & 1) == 0 ? 0 : 0x82F63B78u);
        }

        return ~crc;
    }
}
