namespace Glimmer.Data.Readers;

/// <summary>A place in a file of records.</summary>
/// <param name="Path">The file.</param>
/// <param name="Line">Line, counted from 1.</param>
/// <param name="Offset">First byte of the line, counted from 0; in a compressed file, of its content.</param>
public readonly record struct FilePosition(string Path, long Line, long Offset)
{
    /// <summary>File, line and byte as errors say them.</summary>
    public override string ToString() => $"'{Path}', line {Line} (byte {Offset})";
}

/// <summary>A line that is no record.</summary>
/// <param name="Position">Where it stands.</param>
/// <param name="Reason">What is wrong with it.</param>
public readonly record struct BadLine(FilePosition Position, string Reason)
{
    /// <summary>The error in one line.</summary>
    public override string ToString() => $"{Position}: {Reason}";
}

/// <summary>What happens to lines that are no records.</summary>
public enum BadLines
{
    /// <summary>Reading stops with an error.</summary>
    Stop,

    /// <summary>They are counted, reported and left out.</summary>
    Skip,
}
