namespace Glimmer.Data.Readers;

/// <summary>How files of records are read.</summary>
public sealed record ReaderOptions
{
    /// <summary>What happens to lines that are no records.</summary>
    public BadLines BadLines { get; init; } = BadLines.Stop;

    /// <summary>Told of every bad line that is skipped.</summary>
    public Action<BadLine>? OnBadLine { get; init; }

    /// <summary>Most bytes of a line.</summary>
    public int LongestLine { get; init; } = 256 << 20;

    /// <summary>Field of a JSON line that holds the text.</summary>
    public string TextField { get; init; } = "text";

    /// <summary>Where a plain text file is cut into documents.</summary>
    public TextUnit TextUnit { get; init; } = TextUnit.File;
}

/// <summary>What is one document of a plain text file.</summary>
public enum TextUnit
{
    /// <summary>The whole file.</summary>
    File,

    /// <summary>A line that is not blank.</summary>
    Line,

    /// <summary>Lines up to a blank one.</summary>
    Paragraph,
}
