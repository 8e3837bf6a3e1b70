using Glimmer.Chat;

namespace Glimmer.Training.Sft;

/// <summary>A turn of the assistant in rendered text.</summary>
/// <param name="Start">First character behind the opening.</param>
/// <param name="End">First character behind the turn, where its terminator begins if the rendering has it.</param>
/// <param name="Terminator">Length of the terminator at <paramref name="End"/>; 0 when a token follows that ends no answer, or nothing.</param>
internal readonly record struct AssistantTurn(int Start, int End, int Terminator);

/// <summary>Finds the turns of the assistant in a rendered conversation.</summary>
internal static class AssistantTurns
{
    private static readonly string[] s_roles = ["<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"];

    /// <summary>Whether a template writes GLM's role tokens, where the next role ends a turn.</summary>
    public static bool HasRoleTokens(string template) => s_roles.All(role => template.Contains(role, StringComparison.Ordinal));

    /// <summary>The turns between GLM's role tokens. Only tokens that the template wrote count.</summary>
    /// <remarks>A line break behind <c>&lt;|assistant|&gt;</c> belongs to the opening. The terminator is the next role token if it is the user's or a tool's.</remarks>
    public static List<AssistantTurn> BetweenRoles(RenderedText rendered)
    {
        var turns = new List<AssistantTurn>();
        int open = -1;
        foreach ((int at, string role) in Roles(rendered))
        {
            if (open >= 0)
                turns.Add(new AssistantTurn(open, at, role is "<|user|>" or "<|observation|>" ? role.Length : 0));
            open = role == "<|assistant|>" ? at + role.Length : -1;
            if (open >= 0 && open < rendered.Text.Length && rendered.Text[open] == '\n')
                open++;
        }

        if (open >= 0)
            turns.Add(new AssistantTurn(open, rendered.Text.Length, 0));
        return turns;
    }

    /// <summary>The turns of templates that close each message with an end token: what a turn adds to the prompt before it, up to that token.</summary>
    /// <param name="template">The template.</param>
    /// <param name="messages">The conversation.</param>
    /// <param name="options">How it is rendered.</param>
    /// <param name="rendered">The whole conversation.</param>
    /// <param name="ends">End tokens.</param>
    /// <exception cref="UnsupportedModelException">The prompt before a turn is not the beginning of the conversation, or no end token follows.</exception>
    public static List<AssistantTurn> BehindPrompts(ChatTemplate template, IReadOnlyList<ChatMessage> messages, ChatTemplateOptions options, RenderedText rendered, IReadOnlyList<string> ends)
    {
        var turns = new List<AssistantTurn>();
        for (int i = 0; i < messages.Count; i++)
        {
            if (messages[i].Role != "assistant")
                continue;
            string before = template.Render([.. messages.Take(i)], options with { AddGenerationPrompt = true }).Text;
            if (!rendered.Text.StartsWith(before, StringComparison.Ordinal))
                throw new UnsupportedModelException($"The template does not begin the rendering of a conversation with the prompt of messages[{i}], so what the assistant writes cannot be told from the prompt.");
            (int at, string end) = ends.Select(end => (At: FromTemplate(rendered, end, before.Length), end)).Where(found => found.At >= 0).OrderBy(found => found.At).FirstOrDefault((-1, ""));
            if (at < 0)
                throw new UnsupportedModelException($"The template writes no end token ({string.Join(", ", ends)}) behind messages[{i}], so the model would not learn to stop.");
            turns.Add(new AssistantTurn(before.Length, at, end.Length));
        }

        return turns;
    }

    private static int FromTemplate(RenderedText rendered, string token, int from)
    {
        int start = 0;
        foreach (RenderedSegment segment in rendered.Segments)
        {
            if (segment.FromTemplate && start + segment.Text.Length > from)
            {
                int skip = Math.Max(from - start, 0);
                int at = segment.Text.IndexOf(token, skip, StringComparison.Ordinal);
                if (at >= 0)
                    return start + at;
            }

            start += segment.Text.Length;
        }

        return -1;
    }

    private static IEnumerable<(int At, string Role)> Roles(RenderedText rendered)
    {
        int start = 0;
        foreach (RenderedSegment segment in rendered.Segments)
        {
            if (segment.FromTemplate)
            {
                for (int i = 0; (i = segment.Text.IndexOf("<|", i, StringComparison.Ordinal)) >= 0; i++)
                {
                    if (Array.Find(s_roles, role => segment.Text.AsSpan(i).StartsWith(role, StringComparison.Ordinal)) is { } found)
                        yield return (start + i, found);
                }
            }

            start += segment.Text.Length;
        }
    }
}
