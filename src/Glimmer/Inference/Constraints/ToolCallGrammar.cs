using System.Text;
using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Tokenization;

namespace Glimmer.Inference.Constraints;

/// <summary>
/// The grammar of a turn in GLM's own form: reasoning, text, and calls of declared tools with arguments that their schemas allow. A marker is its token,
/// or its text spelled out by ordinary tokens, which a parser reads in the same way. Follows the structural tag <c>glm_4_7</c> of xgrammar 0.2.8.
/// </summary>
/// <remarks>Arguments come in schema order; one that the schema does not declare needs an explicit <c>additionalProperties</c>.</remarks>
internal sealed class ToolCallGrammar
{
    public const string ResponseOpen = "<tool_response>";
    public const string ResponseClose = "</tool_response>";

    private static readonly string[] s_inText = [ResponseOpen, ResponseClose];
    private static readonly string[] s_notInText =
        [Markers.ThinkOpen, Markers.ThinkClose, Markers.CallClose, Markers.KeyOpen, Markers.KeyClose, Markers.ValueOpen, Markers.ValueClose];

    private readonly GrammarBuilder _grammar = new();
    private readonly LanguageArena _languages = new();
    private readonly MarkedText _text;

    private ToolCallGrammar(Tokenizer tokenizer) => _text = new MarkedText(_grammar, MarkerIds(tokenizer));

    /// <summary>The ids of GLM's markers.</summary>
    /// <exception cref="ConstraintException">The vocabulary has none.</exception>
    public static Dictionary<string, int> MarkerIds(Tokenizer tokenizer)
    {
        var ids = new Dictionary<string, int>();
        foreach (string marker in (string[])[.. s_notInText, .. s_inText, Markers.CallOpen])
        {
            ids[marker] = tokenizer.TokenToId(marker) is { } id && tokenizer.IsAdded(id)
                ? id
                : throw new ConstraintException($"The vocabulary has no token '{marker}', so it has no tool calls of GLM's form.");
        }

        return ids;
    }

    /// <summary>Compiles the grammar of a turn.</summary>
    public static Grammar Compile(Tokenizer tokenizer, IReadOnlyList<ToolDefinition> tools, ToolCallOptions options)
    {
        ToolDefinition[] callable = [.. tools.Where(t => options.Name is null || t.Name == options.Name)];
        if (callable.Length == 0 && (options.Name is not null || options.Choice == ToolChoice.Required))
            throw new ConstraintException(options.Name is null ? "A tool call is required and no tool is declared." : $"The tool '{options.Name}' is not declared.");
        var turn = new ToolCallGrammar(tokenizer);
        int root = turn.Turn(callable, options);
        return Grammar.Build(turn._grammar, root);
    }

    private int Turn(ToolDefinition[] tools, ToolCallOptions options)
    {
        int root = _grammar.NewRule();
        (int start, int end) = _grammar.Rules[root];
        int content = Reasoning(start, options.Reasoning);
        if (options.Name is null && options.Choice == ToolChoice.None)
        {
            Text(content, options.TextSchema, [], end);
            return root;
        }

        int call = _grammar.NewRule();
        (int name, int called) = _grammar.Rules[call];
        foreach (ToolDefinition tool in tools)
            Call(tool, name, called);
        int opened = _grammar.NewState();
        bool once = options.Name is not null || !options.Parallel;
        int after = once ? end : _grammar.NewState();
        _grammar.Call(opened, call, after);
        if (options.Name is not null || options.Choice == ToolChoice.Required)
            _text.Marker(content, Markers.CallOpen, opened);
        else
            Text(content, options.TextSchema, [(Markers.CallOpen, opened)], end);
        if (once)
            return root;
        if (options.TextSchema is null)
        {
            FreeText(after, [(Markers.CallOpen, opened)], end);
            return root;
        }

        _grammar.Empty(after, end);
        _text.Marker(after, Markers.CallOpen, opened);
        return root;
    }

    // Free text that markers may end, or, in place of all of them, a value of a schema.
    private void Text(int from, string? schema, (string Marker, int To)[] ends, int end)
    {
        if (schema is null)
        {
            FreeText(from, ends, end);
            return;
        }

        foreach ((string marker, int to) in ends)
            _text.Marker(from, marker, to);
        using JsonDocument document = JsonSchema.Parse(schema);
        if (JsonSchema.AddRule(_grammar, _languages, document.RootElement, new JsonSchemaOptions()) is >= 0 and int rule)
            _grammar.Call(from, rule, end);
    }

    /// <summary>Adds the reasoning before a turn's content; the state after it.</summary>
    private int Reasoning(int start, ReasoningStart where)
    {
        if (where == ReasoningStart.Closed)
            return start;
        int content = _grammar.NewState();
        int inside = start;
        if (where == ReasoningStart.Optional)
        {
            _grammar.Empty(start, content);
            inside = _grammar.NewState();
            _text.Marker(start, Markers.ThinkOpen, inside);
        }

        string[] excluded = [.. s_notInText.Where(m => m != Markers.ThinkClose), Markers.CallOpen];
        _text.Add(inside, excluded, s_inText, [(Markers.ThinkClose, content)]);
        return content;
    }

    private void FreeText(int from, (string, int)[] ends, int end)
    {
        string[] excluded = ends.Length > 0 ? s_notInText : [.. s_notInText, Markers.CallOpen];
        foreach (int state in _text.Add(from, excluded, s_inText, ends))
            _grammar.Empty(state, end);
    }

    /// <summary>Adds a call of one tool from its name to its closing tag.</summary>
    private void Call(ToolDefinition tool, int start, int end)
    {
        int named = _grammar.NewState();
        _grammar.Text(start, Encoding.UTF8.GetBytes(tool.Name), named);
        bool loose = tool.Parameters is null || Strict(tool) == false;
        using JsonDocument schema = JsonDocument.Parse(loose ? "{}" : tool.Parameters!.ToJson(), new JsonDocumentOptions { MaxDepth = 512 });
        Arguments(_grammar, _languages, _text, schema.RootElement, loose, closes: true, named, end);
    }

    /// <summary>Adds the arguments of a call, and its closing tag when they are to have it.</summary>
    public static void Arguments(GrammarBuilder grammar, LanguageArena languages, MarkedText text, JsonElement schema, bool loose, bool closes, int start, int end)
    {
        // The first closing tag ends a value, wherever it stands.
        Language strings = languages.Complement(
            languages.Sequence(languages.AnyText, languages.Sequence(languages.Literal(Markers.ValueClose), languages.AnyText)));
        ValueGrammar values = JsonSchema.Values(
            grammar, languages, schema, new JsonSchemaOptions(), out Formula root, new StringSurroundings(strings, text.Ids(ArgumentForm.InValues)));
        FormulaArena formulas = values.Formulas;
        Formula arguments = values.Restrict(root, ValueKinds.Object);
        bool open = loose || (schema.ValueKind == JsonValueKind.Object && schema.TryGetProperty("additionalProperties", out _));
        Language declared = languages.Union(FormulaArena.Counts(arguments).Where(c => c.Name is not null).Select(c => languages.Literal(c.Name!)));
        Language keys = open ? languages.Union(declared, RegexLanguage.Whole(languages, "[A-Za-z_][A-Za-z0-9_]*")) : declared;
        arguments = formulas.And(arguments, formulas.Members(languages.Complement(keys), null, formulas.True, 0, 0));
        new ObjectGrammar(values, new ArgumentForm(values, text, closes), anyOrder: false).Write(arguments, start, end);
        values.Finish();
    }

    private static bool? Strict(ToolDefinition tool) => ((tool.Data.Find("function") as DataObject) ?? tool.Data).Find("strict")?.AsBoolean;
}
