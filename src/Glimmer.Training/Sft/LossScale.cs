using System.Globalization;

namespace Glimmer.Training.Sft;

/// <summary>Which turns are learned.</summary>
public enum LossTurns
{
    /// <summary>Every turn of the assistant.</summary>
    Default,

    /// <summary>The turns of the assistant after the last user message.</summary>
    LastRound,

    /// <summary>Every token but the first, prompts too: pre-training.</summary>
    All,
}

/// <summary>What carries loss, as ms-swift spells it: a strategy and modifiers joined by <c>+</c>, for example <c>last_round+ignore_empty_think</c>.</summary>
public sealed record LossScale
{
    private const string Expected = "expected default, last_round or all, then ignore_empty_think, ignore_think_prefix or tool_call=WEIGHT, joined by '+'";

    /// <summary>Which turns are learned.</summary>
    public LossTurns Turns { get; init; } = LossTurns.Default;

    /// <summary>No loss on a think block that is empty, with the white space behind it: whether the model thinks is the prompt's choice.</summary>
    public bool IgnoreEmptyThink { get; init; }

    /// <summary>No loss on the <c>&lt;think&gt;</c> that opens a turn, which the prompt of later templates holds already.</summary>
    public bool IgnoreThinkPrefix { get; init; }

    /// <summary>Factor on the weight of tool calls.</summary>
    public float ToolCallWeight { get; init; } = 1;

    /// <summary>Reads a loss scale.</summary>
    /// <exception cref="FormatException">A part is unknown.</exception>
    public static LossScale Parse(string text)
    {
        var scale = new LossScale();
        string[] parts = text.Split('+', StringSplitOptions.TrimEntries);
        for (int i = 0; i < parts.Length; i++)
        {
            string part = parts[i];
            scale = part switch
            {
                "default" when i == 0 => scale,
                "last_round" when i == 0 => scale with { Turns = LossTurns.LastRound },
                "all" when i == 0 => scale with { Turns = LossTurns.All },
                "ignore_empty_think" => scale with { IgnoreEmptyThink = true },
                "ignore_think_prefix" => scale with { IgnoreThinkPrefix = true },
                _ when part.StartsWith("tool_call=", StringComparison.Ordinal)
                    && float.TryParse(part.AsSpan("tool_call=".Length), NumberStyles.Float, CultureInfo.InvariantCulture, out float weight) && weight >= 0 && float.IsFinite(weight) =>
                    scale with { ToolCallWeight = weight },
                _ => throw new FormatException($"The loss scale '{text}' has the part '{part}'; {Expected}."),
            };
        }

        return scale;
    }
}
