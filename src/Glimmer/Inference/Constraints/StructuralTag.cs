using System.Text;
using System.Text.Json;
using Glimmer.Tokenization;

namespace Glimmer.Inference.Constraints;

/// <summary>
/// Writes a structural tag into a grammar: a tree of formats, each a piece of text. What it means is as in the documentation of xgrammar 0.2 (structural_tag), which SGLang and vLLM take too.
/// </summary>
/// <remarks>
/// Text that a format spells out may come as the vocabulary's own marker tokens or in ordinary ones. Free text holds neither the end of the tag around it nor the triggers beside it, in
/// whatever tokens, and no marker token at all: only the formats open a call.
/// </remarks>
internal sealed class StructuralTag
{
    private const int MaxCopies = 10_000;
    private readonly Tokenizer _tokenizer;
    private readonly GrammarBuilder _grammar = new();
    private readonly LanguageArena _languages = new();
    private readonly LanguageLowering _lowering;
    private readonly MarkedText _text;
    private int _parts;

    private StructuralTag(Tokenizer tokenizer)
    {
        _tokenizer = tokenizer;
        _lowering = new LanguageLowering(_grammar, _languages);
        _text = new MarkedText(_grammar, new Dictionary<string, int>()); // Free text names no markers of its own.
    }

    /// <summary>The grammar of a structural tag.</summary>
    public static Grammar Compile(Tokenizer tokenizer, string json)
    {
        using JsonDocument document = JsonSchema.Parse(json);
        JsonElement root = document.RootElement;
        if (root.ValueKind != JsonValueKind.Object)
            throw new ConstraintException("A structural tag is a JSON object.");
        var tag = new StructuralTag(tokenizer);
        int rule = tag._grammar.NewRule();
        (int start, int end) = tag._grammar.Rules[rule];
        if (root.TryGetProperty("structures", out JsonElement structures))
            tag.Structures(root, structures, start, end);
        else
            tag.Write(root.TryGetProperty("format", out JsonElement format) ? format : root, start, end, []);
        return Grammar.Build(tag._grammar, rule);
    }

    // The older form: tags with a schema each, in free text.
    private void Structures(JsonElement root, JsonElement structures, int from, int to)
    {
        Action<int, int>[] tags = [.. Items(structures, "structures").Select(structure => (Action<int, int>)((start, end) =>
        {
            int opened = _grammar.NewState(), written = _grammar.NewState();
            Literal(start, String(structure, "begin"), opened);
            Schema(Member(structure, "schema"), opened, written);
            Literal(written, String(structure, "end"), end);
        }))];
        string[] begins = [.. Items(structures, "structures").Select(structure => String(structure, "begin"))];
        Triggered(Strings(root, "triggers"), begins, tags, [], atLeastOne: false, stopAfterFirst: false, from, to);
    }

    /// <summary>Adds a format between two states.</summary>
    /// <param name="format">The format.</param>
    /// <param name="from">The state before it.</param>
    /// <param name="to">The state after it.</param>
    /// <param name="ends">Ends of the tag around it: no free text inside holds them.</param>
    private void Write(JsonElement format, int from, int to, string[] ends)
    {
        if (++_parts > MaxCopies)
            throw new ConstraintException($"The structural tag has more than {MaxCopies} parts once its counts are written out. Use smaller counts.");
        string type = String(format, "type");
        switch (type)
        {
            case "const_string":
                Literal(from, String(format, "value"), to);
                break;
            case "json_schema":
                Schema(format, from, to);
                break;
            case "grammar":
                _grammar.Call(from, GrammarReader.ReadEbnf(String(format, "grammar")).AddTo(_grammar), to);
                break;
            case "regex":
                if (_lowering.Rule(RegexLanguage.Whole(_languages, String(format, "pattern")), CharacterForm.Raw) is >= 0 and int rule)
                    _grammar.Call(from, rule, to);
                break;
            case "any_text":
                Refuse(format, type, "max_tokens", "max_chars");
                Free(from, [.. Strings(format, "excludes", optional: true), .. ends], to);
                break;
            case "token":
                _grammar.Tokens(from, [Token(format)], to);
                break;
            case "tag":
                Tag(format, from, to);
                break;
            case "sequence":
                JsonElement[] elements = [.. Items(Member(format, "elements"), "elements")];
                for (int i = 0; i < elements.Length; i++)
                {
                    int next = i == elements.Length - 1 ? to : _grammar.NewState();
                    Write(elements[i], from, next, ends);
                    from = next;
                }

                if (elements.Length == 0)
                    _grammar.Empty(from, to);
                break;
            case "or":
                foreach (JsonElement element in Items(Member(format, "elements"), "elements"))
                    Write(element, from, to, ends);
                break;
            case "optional":
                Repeat(Member(format, "content"), 0, 1, from, to, ends);
                break;
            case "plus":
                Repeat(Member(format, "content"), 1, -1, from, to, ends);
                break;
            case "star":
                Repeat(Member(format, "content"), 0, -1, from, to, ends);
                break;
            case "repeat":
                int min = Number(format, "min"), max = Number(format, "max");
                if (min < 0 || max < -1 || (max >= 0 && max < min))
                    throw new ConstraintException($"A repeat of a structural tag has min {min} and max {max}; expected 0 <= min <= max, or max -1 without bound.");
                Repeat(Member(format, "content"), min, max, from, to, ends);
                break;
            case "triggered_tags":
                JsonElement[] tags = [.. Items(Member(format, "tags"), "tags")];
                Triggered(
                    Strings(format, "triggers"), [.. tags.Select(tag => String(tag, "begin"))], [.. tags.Select(tag => (Action<int, int>)((start, end) => Tag(tag, start, end)))],
                    [.. Strings(format, "excludes", optional: true), .. ends], Flag(format, "at_least_one"), Flag(format, "stop_after_first"), from, to);
                break;
            case "tags_with_separator":
                Separated(format, from, to);
                break;
            case "dispatch":
                Dispatch(format, from, to, ends);
                break;
            default:
                throw ConstraintException.Unsupported(type, "structural tags have const_string, json_schema, grammar, regex, any_text, token, tag, sequence, or, optional, plus, star, repeat, triggered_tags, tags_with_separator and dispatch here");
        }
    }

    private void Schema(JsonElement format, int from, int to)
    {
        // The older form has the schema itself here.
        bool isFormat = format.TryGetProperty("json_schema", out JsonElement schema);
        if (!isFormat)
            schema = format;
        string style = isFormat && format.TryGetProperty("style", out JsonElement named) ? named.GetString() ?? "json" : "json";
        bool anyOrder = isFormat && Flag(format, "any_order");
        switch (style)
        {
            case "json":
                if (JsonSchema.AddRule(_grammar, _languages, schema, new JsonSchemaOptions { AnyOrder = anyOrder }) is >= 0 and int rule)
                    _grammar.Call(from, rule, to);
                break;
            case "glm_xml" when !anyOrder:
                ToolCallGrammar.Arguments(_grammar, _languages, new MarkedText(_grammar, ToolCallGrammar.MarkerIds(_tokenizer)), schema, loose: false, closes: false, from, to);
                break;
            default:
                throw ConstraintException.Unsupported(style, "json_schema has the styles json and, without any_order, glm_xml here");
        }
    }

    private void Tag(JsonElement tag, int from, int to)
    {
        if (tag.TryGetProperty("type", out JsonElement type) && type.GetString() != "tag")
            throw new ConstraintException($"A structural tag has '{type}' where a tag is expected.");
        JsonElement end = Member(tag, "end");
        int opened = _grammar.NewState(), written = _grammar.NewState();
        Delimiter(Member(tag, "begin"), "begin", from, opened);
        JsonElement[] ends = end.ValueKind == JsonValueKind.Array ? [.. end.EnumerateArray()] : [end];
        Write(Member(tag, "content"), opened, written, [.. ends.Where(one => one.ValueKind == JsonValueKind.String).Select(one => one.GetString()!).Where(one => one.Length > 0)]);
        foreach (JsonElement one in ends)
            Delimiter(one, "end", written, to);
    }

    private void Delimiter(JsonElement value, string member, int from, int to)
    {
        if (value.ValueKind == JsonValueKind.String)
            Literal(from, value.GetString()!, to);
        else if (value.ValueKind == JsonValueKind.Object && String(value, "type") == "token")
            _grammar.Tokens(from, [Token(value)], to);
        else
            throw new ConstraintException($"'{member}' of a structural tag is a string or a token.");
    }

    // Free text up to a trigger, the tag that it begins, and so on.
    private void Triggered(string[] triggers, string[] begins, Action<int, int>[] tags, string[] excludes, bool atLeastOne, bool stopAfterFirst, int from, int to)
    {
        if (triggers.Length == 0 || triggers.Contains(""))
            throw new ConstraintException("'triggers' of a structural tag holds at least one text, none of them empty.");
        foreach (string begin in begins)
        {
            if (triggers.Count(trigger => begin.StartsWith(trigger, StringComparison.Ordinal)) != 1)
                throw new ConstraintException($"The tag that begins with '{begin}' has to begin with exactly one of the triggers.");
        }

        int open = _grammar.NewState(), closed = _grammar.NewState();
        foreach (Action<int, int> tag in tags)
            tag(open, closed);
        string[] absent = [.. triggers, .. excludes];
        if (atLeastOne)
            _grammar.Empty(from, open);
        else
        {
            int idle = _grammar.NewState();
            Free(from, absent, idle);
            _grammar.Empty(idle, open);
            _grammar.Empty(idle, to);
        }

        if (stopAfterFirst)
        {
            _grammar.Empty(closed, to);
            return;
        }

        int between = _grammar.NewState();
        Free(closed, absent, between);
        _grammar.Empty(between, open);
        _grammar.Empty(between, to);
    }

    private void Separated(JsonElement format, int from, int to)
    {
        int open = _grammar.NewState(), closed = _grammar.NewState();
        _grammar.Empty(from, open);
        foreach (JsonElement tag in Items(Member(format, "tags"), "tags"))
            Tag(tag, open, closed);
        if (!Flag(format, "at_least_one"))
            _grammar.Empty(from, to);
        _grammar.Empty(closed, to);
        if (!Flag(format, "stop_after_first"))
            Literal(closed, String(format, "separator"), open);
    }

    private void Dispatch(JsonElement format, int from, int to, string[] ends)
    {
        JsonElement[] rules = [.. Items(Member(format, "rules"), "rules")];
        if (rules.Any(rule => rule.ValueKind != JsonValueKind.Array || rule.GetArrayLength() != 2 || rule[0].ValueKind != JsonValueKind.String || rule[0].GetString()!.Length == 0))
            throw new ConstraintException("'rules' of a dispatch holds pairs of a text, not empty, and a format.");
        bool isLoop = !format.TryGetProperty("loop", out JsonElement loop) || loop.ValueKind != JsonValueKind.False;
        int start = _grammar.NewState(), idle = _grammar.NewState();
        _grammar.Empty(from, start);
        Free(start, [.. rules.Select(rule => rule[0].GetString()!), .. Strings(format, "excludes", optional: true), .. ends], idle);
        _grammar.Empty(idle, to);
        foreach (JsonElement rule in rules)
        {
            int opened = _grammar.NewState();
            Literal(idle, rule[0].GetString()!, opened);
            Write(rule[1], opened, isLoop ? start : to, ends);
        }
    }

    private void Repeat(JsonElement content, int min, int max, int from, int to, string[] ends)
    {
        for (int i = 0; i < min; i++)
        {
            int next = _grammar.NewState();
            Write(content, from, next, ends);
            from = next;
        }

        if (max < 0)
        {
            int hub = _grammar.NewState();
            _grammar.Empty(from, hub);
            Write(content, hub, hub, ends);
            _grammar.Empty(hub, to);
            return;
        }

        for (int i = min; i < max; i++)
        {
            _grammar.Empty(from, to);
            int next = _grammar.NewState();
            Write(content, from, next, ends);
            from = next;
        }

        _grammar.Empty(from, to);
    }

    // Any text in which some texts do not occur.
    private void Free(int from, IReadOnlyList<string> absent, int to)
    {
        foreach (int state in _text.Add(from, [.. absent.Where(text => text.Length > 0).Distinct()], [], []))
            _grammar.Empty(state, to);
    }

    // A text spelled out; where the vocabulary has a token of its own for a part, by that token too.
    private void Literal(int from, string text, int to)
    {
        (int at, AddedToken? token) = (text.Length, null);
        foreach (AddedToken added in _tokenizer.AddedTokens)
        {
            int found = text.IndexOf(added.Text, StringComparison.Ordinal);
            if (found >= 0 && (found < at || (found == at && added.Text.Length > token?.Text.Length)))
                (at, token) = (found, added);
        }

        if (token is null)
        {
            _grammar.Text(from, Encoding.UTF8.GetBytes(text), to);
            return;
        }

        int before = _grammar.NewState(), after = _grammar.NewState();
        _grammar.Text(from, Encoding.UTF8.GetBytes(text[..at]), before);
        _grammar.Tokens(before, [token.Id], after);
        _grammar.Text(before, Encoding.UTF8.GetBytes(token.Text), after);
        Literal(after, text[(at + token.Text.Length)..], to);
    }

    private int Token(JsonElement format)
    {
        JsonElement token = Member(format, "token");
        if (token.ValueKind == JsonValueKind.Number && token.TryGetInt32(out int id) && (uint)id < (uint)_tokenizer.VocabularySize)
            return id;
        return token.ValueKind == JsonValueKind.String && _tokenizer.TokenToId(token.GetString()!) is { } known
            ? known
            : throw new ConstraintException($"The token {token.GetRawText()} of a structural tag is not in the vocabulary.");
    }

    private static void Refuse(JsonElement format, string type, params ReadOnlySpan<string> members)
    {
        foreach (string member in members)
        {
            if (format.TryGetProperty(member, out JsonElement value) && value.ValueKind != JsonValueKind.Null)
                throw ConstraintException.Unsupported(member, $"{type} of a structural tag has no limits here; limit the answer as a whole");
        }
    }

    private static JsonElement Member(JsonElement format, string name) =>
        format.ValueKind == JsonValueKind.Object && format.TryGetProperty(name, out JsonElement value) ? value : throw new ConstraintException($"A part of the structural tag lacks '{name}'.");

    private static string String(JsonElement format, string name) =>
        Member(format, name) is { ValueKind: JsonValueKind.String } value ? value.GetString()! : throw new ConstraintException($"'{name}' of a structural tag is a string.");

    private static int Number(JsonElement format, string name) =>
        Member(format, name) is { ValueKind: JsonValueKind.Number } value && value.TryGetInt32(out int number) ? number : throw new ConstraintException($"'{name}' of a structural tag is a whole number.");

    private static bool Flag(JsonElement format, string name) => format.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.True;

    private static IEnumerable<JsonElement> Items(JsonElement list, string name) =>
        list.ValueKind == JsonValueKind.Array ? list.EnumerateArray() : throw new ConstraintException($"'{name}' of a structural tag is an array.");

    private static string[] Strings(JsonElement format, string name, bool optional = false)
    {
        if (optional && (!format.TryGetProperty(name, out JsonElement given) || given.ValueKind == JsonValueKind.Null))
            return [];
        JsonElement[] items = [.. Items(Member(format, name), name)];
        return items.All(item => item.ValueKind == JsonValueKind.String) ? [.. items.Select(item => item.GetString()!)] : throw new ConstraintException($"'{name}' of a structural tag holds strings.");
    }
}
