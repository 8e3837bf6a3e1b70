namespace Glimmer.Training.Sft;

/// <summary>How records become samples.</summary>
public sealed record SftSampleOptions
{
    /// <summary>What carries loss.</summary>
    public LossScale LossScale { get; init; } = new();

    /// <summary>System message of records that have none; null for the template's own.</summary>
    public string? System { get; init; }

    /// <summary>The thinking switch of the template; null leaves it to the template. A record's own <c>chat_template_kwargs</c> come first.</summary>
    public bool? EnableThinking { get; init; }

    /// <summary>Whether the thinking of earlier rounds stays in the text (<c>clear_thinking</c> of the template is its opposite); null leaves it to the template.</summary>
    public bool? PreserveThinking { get; init; }

    /// <summary>Whether a turn without thinking keeps the empty think block that the template gives it.</summary>
    public bool AddNonThinkingPrefix { get; init; } = true;

    /// <summary>
    /// Whether control tokens are recognised in the text of messages too, as ms-swift does. Otherwise they come only from the template, and text that looks like one stays text.
    /// </summary>
    public bool ControlTokensInText { get; init; }
}
