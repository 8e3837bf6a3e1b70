using System.Text;
using System.Text.RegularExpressions;
using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Tokenization;

namespace Glimmer.Training.Sft;

/// <summary>From a record to tokens and loss weights: the whole conversation is rendered once with the checkpoint's template, and the weights follow its text.</summary>
/// <remarks>
/// <para>A turn of the assistant is what stands behind its opening, with its terminator: the next role token (<c>&lt;|user|&gt;</c> after an answer, <c>&lt;|observation|&gt;</c> after a call), which GLM has to
/// write to stop. The last turn gets it here, because a rendering ends without one.</para>
/// <para>Weights within a turn follow the characters of its message through the template. A token has the weight of its last character, so that a word takes the space before it along.</para>
/// <para>Rules: ms-swift 4.6 <c>template/templates/glm.py</c>, <c>loss_scale</c>.</para>
/// </remarks>
public sealed partial class SftSampleBuilder
{
    private const string ThinkEnd = "</think>";

    private readonly Tokenizer _tokenizer;
    private readonly ChatTemplate? _template;
    private readonly SftSampleOptions _options;
    private readonly bool _hasRoleTokens;
    private readonly string[] _ends;

    /// <summary>Creates a builder.</summary>
    /// <param name="tokenizer">The vocabulary.</param>
    /// <param name="template">The chat template; null where all records are plain text.</param>
    /// <param name="options">How records become samples; null for the defaults.</param>
    public SftSampleBuilder(Tokenizer tokenizer, ChatTemplate? template, SftSampleOptions? options = null)
    {
        (_tokenizer, _template, _options) = (tokenizer, template, options ?? new SftSampleOptions());
        _hasRoleTokens = template is not null && AssistantTurns.HasRoleTokens(template.Source);
        _ends = [.. tokenizer.EndIds.Concat(tokenizer.EosId is { } eos ? [eos] : []).Distinct().Select(id => tokenizer.IdToToken(id)).OfType<string>()];
    }

    /// <summary>Makes the sample of a record.</summary>
    /// <exception cref="FormatException">The template refuses the conversation, or nothing in it can be learned.</exception>
    /// <exception cref="UnsupportedModelException">There is no chat template, or turns cannot be told from prompts in it.</exception>
    public SftSample Build(SftRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        SftSample sample = record.Text is { } text ? PlainText(text) : Conversation(record);
        if (sample.TargetCount == 0)
            throw new FormatException("nothing in the record carries loss: every turn is masked.");
        return sample with { Channel = record.Channel, Place = record.Place };
    }

    private SftSample PlainText(string text)
    {
        var tokens = new List<int>(_tokenizer.Encode(text));
        if (_tokenizer.EosId is { } end)
            tokens.Add(end);
        float[] weights = [.. tokens.Select((_, i) => i == 0 ? 0f : 1f)];
        return new SftSample { Tokens = [.. tokens], Weights = weights };
    }

    private SftSample Conversation(SftRecord record)
    {
        ChatTemplate template = _template ?? throw new UnsupportedModelException("The model has no chat template, so it cannot learn conversations. Add chat_template.jinja to its folder, or train on plain text.");
        var turns = new List<TurnWeights>();
        List<ChatMessage> messages = Messages(record, turns);
        ChatTemplateOptions options = Options(record);
        RenderedText rendered;
        try
        {
            rendered = template.Render(messages, options);
        }
        catch (JinjaException error)
        {
            throw new FormatException($"the chat template refuses the conversation: {error.Message}", error);
        }

        List<AssistantTurn> places = Places(rendered);
        if (!_options.AddNonThinkingPrefix && _hasRoleTokens)
        {
            rendered = WithoutEmptyThinking(rendered, places, turns);
            places = Places(rendered);
        }

        int length = rendered.Text.Length;
        if (_hasRoleTokens && places.Count > 0 && places[^1].End == length)
        {
            string end = turns[^1].HasCalls ? "<|observation|>" : "<|user|>";
            rendered = new RenderedText(rendered.Text + end, [.. rendered.Segments, new RenderedSegment(end, FromTemplate: true, Generated: true)]);
            places[^1] = places[^1] with { Terminator = end.Length };
        }

        float[] weights = CharacterWeights(rendered, places, turns, out int dropped);
        return Encode(rendered, weights) with { TurnsWithoutTheirThinking = dropped };

        List<AssistantTurn> Places(RenderedText text)
        {
            List<AssistantTurn> found = _hasRoleTokens ? AssistantTurns.BetweenRoles(text) : AssistantTurns.BehindPrompts(template, messages, options, text, _ends);
            return found.Count == turns.Count ? found
                : throw new UnsupportedModelException($"The conversation has {turns.Count} turns of the assistant, but the template shows {found.Count}; their loss cannot be placed.");
        }
    }

    private SftSample Encode(RenderedText rendered, float[] characterWeights)
    {
        List<TextSegment> segments = PromptEncoding.Segments(rendered);
        if (_options.ControlTokensInText)
            segments = [.. segments.Select(segment => segment with { IsTrusted = true })];
        int[] tokens = _tokenizer.Encode(segments);
        TokenSpan[] spans;
        try
        {
            spans = TokenSpans.Locate(_tokenizer, rendered.Text, tokens);
        }
        catch (ArgumentException error)
        {
            throw new FormatException($"the tokenizer changes the text, so the loss cannot be placed: {error.Message}", error);
        }

        var weights = new float[tokens.Length];
        for (int i = 1; i < tokens.Length; i++)
            weights[i] = spans[i].End > spans[i].Start ? characterWeights[spans[i].End - 1] : 0;
        return new SftSample { Tokens = tokens, Weights = weights };
    }

    // What the template gets: contents with marks where their weights differ, and the weights of each turn.
    private List<ChatMessage> Messages(SftRecord record, List<TurnWeights> turns)
    {
        var messages = new List<ChatMessage>();
        if (!record.HasSystem && _options.System is { } system)
            messages.Add(ChatMessage.System(system));
        int lastUser = record.Messages.Count - 1;
        while (lastUser >= 0 && record.Messages[lastUser].Message.Role != "user")
            lastUser--;
        var marks = new List<float>();
        for (int i = 0; i < record.Messages.Count; i++)
        {
            SftMessage message = record.Messages[i];
            if (message.Message.Role != "assistant")
            {
                messages.Add(message.Message);
                continue;
            }

            string content = message.Message.Content?.AsString ?? "";
            bool isLearned = _options.LossScale.Turns != LossTurns.LastRound || i > lastUser;
            turns.Add(new TurnWeights(isLearned, message.Weight, message.CallWeight ?? message.Weight, message.Message.ToolCalls.Count > 0, Thinks(message.Message, content), content.Contains(ThinkEnd, StringComparison.Ordinal), marks));
            messages.Add(message.Spans is null ? message.Message : message.Message with { Content = Marked(content, message, marks) });
        }

        return messages;
    }

    private static StringValue Marked(string content, SftMessage message, List<float> marks)
    {
        var parts = new List<(string Text, int Mark)>();
        int character = 0, start = 0, mark = 0;
        for (int at = 0; ; character++)
        {
            int here = 0;
            for (int s = message.Spans!.Count - 1; s >= 0 && here == 0; s--)
                here = character >= message.Spans[s].From && character < message.Spans[s].To ? s + 1 : 0;
            if (here != mark || at == content.Length)
            {
                if (at > start)
                    parts.Add((content[start..at], mark == 0 ? 0 : marks.Count + mark));
                (start, mark) = (at, here);
            }

            if (at == content.Length)
                break;
            at += Rune.TryGetRuneAt(content, at, out Rune rune) ? rune.Utf16SequenceLength : 1;
        }

        marks.AddRange(message.Spans.Select(span => span.Weight));
        return StringValue.Marked(parts);
    }

    private ChatTemplateOptions Options(SftRecord record) => new()
    {
        Tools = record.Tools,
        AddGenerationPrompt = false,
        EnableThinking = _options.EnableThinking,
        ClearThinking = _options.PreserveThinking is { } preserve ? !preserve : null,
        Variables = record.TemplateVariables,
    };

    private float[] CharacterWeights(RenderedText rendered, List<AssistantTurn> places, List<TurnWeights> turns, out int dropped)
    {
        string text = rendered.Text;
        var weights = new float[text.Length];
        bool all = _options.LossScale.Turns == LossTurns.All;
        if (all)
            Array.Fill(weights, 1);
        dropped = 0;
        for (int t = 0; t < turns.Count; t++)
        {
            (AssistantTurn place, TurnWeights turn) = (places[t], turns[t]);
            int end = place.End + place.Terminator;
            Span<float> part = weights.AsSpan(place.Start..end);
            Match empty = EmptyThinking().Match(text[place.Start..place.End]);
            bool isCut = turn.Thinks && empty.Success;
            if (isCut && turn.IsLearned)
                dropped++;
            if (!turn.IsLearned || (isCut && !all))
            {
                part.Clear();
                continue;
            }

            int calls = turn.HasCalls ? FirstCall(rendered, place) : place.End;
            weights.AsSpan(place.Start, calls - place.Start).Fill(turn.Weight);
            float callWeight = turn.CallWeight * (turn.HasCalls ? _options.LossScale.ToolCallWeight : 1);
            weights.AsSpan(calls, place.End - calls).Fill(callWeight);
            ApplyMarks(rendered, place, turn, weights);
            // The terminator belongs to what it ends.
            float last = turn.HasCalls ? turn.CallWeight : place.End > place.Start ? weights[place.End - 1] : turn.Weight;
            weights.AsSpan(place.End, place.Terminator).Fill(last);
            if (_options.LossScale.IgnoreEmptyThink && empty.Success)
                part[..empty.Length].Clear();
            if (_options.LossScale.IgnoreThinkPrefix && text.AsSpan(place.Start).StartsWith("<think>", StringComparison.Ordinal))
                part[.."<think>".Length].Clear();
        }

        return weights;
    }

    private static void ApplyMarks(RenderedText rendered, AssistantTurn place, TurnWeights turn, float[] weights)
    {
        int at = 0;
        foreach (RenderedSegment segment in rendered.Segments)
        {
            if (segment.Mark > 0 && at >= place.Start && at < place.End)
                weights.AsSpan(at, segment.Text.Length).Fill(turn.Marks[segment.Mark - 1]);
            at += segment.Text.Length;
        }
    }

    private static int FirstCall(RenderedText rendered, AssistantTurn place)
    {
        int at = 0;
        foreach (RenderedSegment segment in rendered.Segments)
        {
            if (segment.FromTemplate && at + segment.Text.Length > place.Start && at < place.End)
            {
                int found = segment.Text.IndexOf("<tool_call>", Math.Max(place.Start - at, 0), StringComparison.Ordinal);
                if (found >= 0)
                    return at + found;
            }

            at += segment.Text.Length;
        }

        return place.End;
    }

    // Takes the empty think blocks out that the template gave to turns whose record has none.
    private static RenderedText WithoutEmptyThinking(RenderedText rendered, List<AssistantTurn> places, List<TurnWeights> turns)
    {
        var cuts = new List<(int From, int To)>();
        for (int t = 0; t < turns.Count; t++)
        {
            if (turns[t].Thinks || turns[t].HasThinkBlock)
                continue;
            Match empty = EmptyThinking().Match(rendered.Text[places[t].Start..places[t].End]);
            if (empty.Success)
                cuts.Add((places[t].Start, places[t].Start + empty.Length));
        }

        var segments = new List<RenderedSegment>();
        int at = 0;
        foreach (RenderedSegment segment in rendered.Segments)
        {
            int start = at, next = 0;
            at += segment.Text.Length;
            var kept = new StringBuilder();
            foreach ((int from, int to) in cuts.Where(cut => cut.From < at && cut.To > start))
            {
                kept.Append(segment.Text.AsSpan(next, Math.Max(from - start, next) - next));
                next = Math.Min(to - start, segment.Text.Length);
            }

            kept.Append(segment.Text.AsSpan(next));
            if (kept.Length > 0)
                segments.Add(segment with { Text = kept.ToString() });
        }

        return new RenderedText(string.Concat(segments.Select(segment => segment.Text)), segments);
    }

    private static bool Thinks(ChatMessage message, string content)
    {
        if (!string.IsNullOrWhiteSpace(message.ReasoningContent))
            return true;
        int end = content.IndexOf(ThinkEnd, StringComparison.Ordinal);
        if (end < 0)
            return false;
        int open = content.LastIndexOf("<think>", end, StringComparison.Ordinal);
        return !string.IsNullOrWhiteSpace(content[(open < 0 ? 0 : open + "<think>".Length)..end]);
    }

    [GeneratedRegex(@"\A(?:<think>)?\s*</think>\s*")]
    private static partial Regex EmptyThinking();

    private sealed record TurnWeights(bool IsLearned, float Weight, float CallWeight, bool HasCalls, bool Thinks, bool HasThinkBlock, List<float> Marks);
}
