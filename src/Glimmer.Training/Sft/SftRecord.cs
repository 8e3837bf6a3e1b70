using Glimmer.Chat;

namespace Glimmer.Training.Sft;

/// <summary>Where a record stands.</summary>
/// <param name="File">The file as it was named.</param>
/// <param name="Line">Line in it, from 1; the number of the record where a file has no lines.</param>
public readonly record struct RecordPlace(string File, int Line)
{
    /// <inheritdoc/>
    public override string ToString() => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{File}:{Line}");
}

/// <summary>A record that cannot be trained on, and why.</summary>
/// <param name="Place">Where it stands.</param>
/// <param name="Reason">What is wrong, and what is expected.</param>
public sealed record BadRecord(RecordPlace Place, string Reason);

/// <summary>A weight of the characters [<paramref name="From"/>, <paramref name="To"/>) of a message's content, counted in Unicode characters.</summary>
public readonly record struct LossSpan(int From, int To, float Weight);

/// <summary>A message of a record with the weight of its loss.</summary>
/// <param name="Message">The message.</param>
/// <param name="Weight">Weight of the loss if it is the assistant's: 0 keeps a wrong turn in the context without learning it.</param>
/// <param name="Spans">Weights of parts of the content, instead of <paramref name="Weight"/>.</param>
public sealed record SftMessage(ChatMessage Message, float Weight = 1, IReadOnlyList<LossSpan>? Spans = null)
{
    /// <summary>Weight of the message's tool calls where it differs from <see cref="Weight"/>; null where it does not.</summary>
    public float? CallWeight { get; init; }
}

/// <summary>One example of supervised fine-tuning, whatever format it was written in.</summary>
public sealed record SftRecord
{
    /// <summary>Where it stands.</summary>
    public required RecordPlace Place { get; init; }

    /// <summary>The conversation; empty for plain text.</summary>
    public IReadOnlyList<SftMessage> Messages { get; init; } = [];

    /// <summary>Plain text, learned as a whole without a template; null for a conversation.</summary>
    public string? Text { get; init; }

    /// <summary>Tools offered in the conversation.</summary>
    public IReadOnlyList<ToolDefinition> Tools { get; init; } = [];

    /// <summary>Name of the source, whose loss is reported on its own; null for none.</summary>
    public string? Channel { get; init; }

    /// <summary>Variables for the template (<c>chat_template_kwargs</c>), such as <c>enable_thinking</c>; null for none.</summary>
    public DataObject? TemplateVariables { get; init; }

    /// <summary>Hash of the record as it stands in its file; decides whether it is held out, whatever else the file holds.</summary>
    public ulong Hash { get; init; }

    /// <summary>The answer that should not be given, for preference training; null for none.</summary>
    public string? RejectedResponse { get; init; }

    /// <summary>Whether the conversation has its own system message.</summary>
    public bool HasSystem => Messages.Count > 0 && Messages[0].Message.Role == "system";
}
