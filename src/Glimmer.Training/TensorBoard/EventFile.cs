using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Text;

namespace Glimmer.Training.TensorBoard;

/// <summary>An event file that TensorBoard shows: scalars by tag and step.</summary>
/// <remarks>
/// <para>Records of TFRecord: length (u64), masked CRC-32C of the length, data, masked CRC-32C of the data, little-endian; the data is a protobuf message
/// <c>tensorflow.Event</c> {1 wall_time: double, 2 step: int64, 3 file_version: string, 5 summary {1 value {1 tag: string, 2 simple_value: float}}, 7 session_log {1 status}}
/// (tensorflow/core/util/event.proto, framework/summary.proto, lib/io/record_writer.cc).</para>
/// <para>A run that goes on opens a further file; its session start at the next step makes TensorBoard drop what an interrupted process logged from there on.</para>
/// </remarks>
public sealed class EventFile : IDisposable
{
    private readonly FileStream _file;
    private readonly TimeProvider _time;

    private EventFile(FileStream file, TimeProvider time) => (_file, _time) = (file, time);

    /// <summary>Path of the file.</summary>
    public string Path => _file.Name;

    /// <summary>Creates a further event file in a folder.</summary>
    /// <param name="folder">The log folder; created when it is not there.</param>
    /// <param name="nextStep">First step that will be written.</param>
    /// <param name="time">Clock of the time stamps.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static EventFile Create(string folder, long nextStep = 0, TimeProvider? time = null)
    {
        time ??= TimeProvider.System;
        Directory.CreateDirectory(folder);
        // TensorBoard reads the files of a folder in the order of their names.
        long second = time.GetUtcNow().ToUnixTimeSeconds();
        int number = Directory.EnumerateFiles(folder, "events.out.tfevents.*").Count();
        string name = string.Create(CultureInfo.InvariantCulture, $"events.out.tfevents.{second:0000000000}.glimmer.{number:0000}");
        var events = new EventFile(new FileStream(System.IO.Path.Combine(folder, name), FileMode.CreateNew, FileAccess.Write, FileShare.Read), time);
        events.Write(0, content => Text(content, 3, "brain.Event:2"));
        events.Write(nextStep, content => Message(content, 7, log => Number(log, 1, 1)));
        events.Flush();
        return events;
    }

    /// <summary>Writes scalars of one step.</summary>
    /// <param name="step">The step.</param>
    /// <param name="scalars">Values by tag; a slash in a tag makes groups.</param>
    public void Write(long step, IEnumerable<KeyValuePair<string, double>> scalars) => Write(step, content => Message(content, 5, summary =>
    {
        foreach ((string tag, double value) in scalars)
        {
            Message(summary, 1, item =>
            {
                Text(item, 1, tag);
                Key(item, 2, 5);
                Span<byte> bytes = stackalloc byte[4];
                BinaryPrimitives.WriteSingleLittleEndian(bytes, (float)value);
                item.Write(bytes);
            });
        }
    }));

    /// <summary>Hands what was written to the operating system.</summary>
    public void Flush() => _file.Flush();

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    /// <summary>CRC-32C, rotated and shifted as TFRecord stores it: a checksum of data that holds checksums.</summary>
    internal static uint MaskedChecksum(ReadOnlySpan<byte> data)
    {
        uint crc = uint.MaxValue;
        foreach (byte b in data)
            crc = BitOperations.Crc32C(crc, b);
        crc = ~crc;
        return BitOperations.RotateRight(crc, 15) + 0xa282ead8u;
    }

    private void Write(long step, Action<MemoryStream> what)
    {
        using var record = new MemoryStream();
        record.SetLength(12);
        record.Position = 12;
        Key(record, 1, 1);
        Span<byte> seconds = stackalloc byte[8];
        BinaryPrimitives.WriteDoubleLittleEndian(seconds, (_time.GetUtcNow() - DateTimeOffset.UnixEpoch).TotalSeconds);
        record.Write(seconds);
        Number(record, 2, (ulong)step);
        what(record);
        Span<byte> checksum = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(checksum, MaskedChecksum(record.GetBuffer().AsSpan(12, (int)record.Length - 12)));
        Span<byte> head = record.GetBuffer().AsSpan(0, 12);
        BinaryPrimitives.WriteUInt64LittleEndian(head, (ulong)record.Length - 12);
        BinaryPrimitives.WriteUInt32LittleEndian(head[8..], MaskedChecksum(head[..8]));
        record.Write(checksum);
        _file.Write(record.GetBuffer().AsSpan(0, (int)record.Length));
    }

    // Protobuf: a key is field * 8 + wire type (0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes).
    private static void Key(MemoryStream message, int field, int wireType) => Varint(message, (ulong)((field << 3) | wireType));

    private static void Varint(MemoryStream message, ulong value)
    {
        for (; value >= 0x80; value >>= 7)
            message.WriteByte((byte)(value | 0x80));
        message.WriteByte((byte)value);
    }

    private static void Number(MemoryStream message, int field, ulong value)
    {
        Key(message, field, 0);
        Varint(message, value);
    }

    private static void Text(MemoryStream message, int field, string value)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(value);
        Key(message, field, 2);
        Varint(message, (ulong)bytes.Length);
        message.Write(bytes);
    }

    private static void Message(MemoryStream message, int field, Action<MemoryStream> content)
    {
        using var inner = new MemoryStream();
        content(inner);
        Key(message, field, 2);
        Varint(message, (ulong)inner.Length);
        message.Write(inner.GetBuffer().AsSpan(0, (int)inner.Length));
    }
}
