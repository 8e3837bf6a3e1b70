namespace Glimmer.Chat;

/// <summary>How a template is read and what it may use up.</summary>
/// <remarks>The defaults are those of the environment chat templates are written for: trimmed blocks, no way to reach anything but the data given.</remarks>
public sealed record JinjaOptions
{
    /// <summary>Remove the first newline after a block tag.</summary>
    public bool TrimBlocks { get; init; } = true;

    /// <summary>Remove white space before a block tag that starts its line.</summary>
    public bool LstripBlocks { get; init; } = true;

    /// <summary>The clock of <c>strftime_now</c>.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Loop iterations of one rendering, filters included.</summary>
    public long MaxIterations { get; init; } = 200_000;

    /// <summary>Characters of the output and of any string made on the way.</summary>
    public int MaxTextLength { get; init; } = 1 << 24;

    /// <summary>Characters copied or searched in one rendering, all together.</summary>
    public long MaxTextWork { get; init; } = 1L << 30;

    /// <summary>Levels of nesting: of brackets and blocks in the template, and of expressions and macro calls under evaluation.</summary>
    public int MaxDepth { get; init; } = 400;
}
