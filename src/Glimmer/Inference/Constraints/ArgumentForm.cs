using Glimmer.Chat;

namespace Glimmer.Inference.Constraints;

/// <summary>
/// The arguments of GLM's tool calls: <c>&lt;arg_key&gt;name&lt;/arg_key&gt;&lt;arg_value&gt;value&lt;/arg_value&gt;</c> with white space between the
/// tags. A value that may be any string is written as it is, and so are strings of an enum or a pattern; all others are JSON, with white space around them.
/// </summary>
/// <param name="values">Writes the values.</param>
/// <param name="text">Writes text with markers.</param>
/// <param name="closes">Whether the call's closing tag ends them.</param>
internal sealed class ArgumentForm(ValueGrammar values, MarkedText text, bool closes = true) : IMemberForm
{
    /// <summary>Markers that are text inside of a value: only the closing tag ends it.</summary>
    public static IReadOnlyList<string> InValues { get; } =
    [
        Markers.ThinkOpen, Markers.ThinkClose, Markers.CallOpen, Markers.CallClose, ToolCallGrammar.ResponseOpen, ToolCallGrammar.ResponseClose,
        Markers.KeyOpen, Markers.KeyClose, Markers.ValueOpen,
    ];

    private readonly GrammarBuilder _grammar = values.Builder;
    private readonly Dictionary<Formula, int> _rules = [];

    public int Open(int start) => values.Space(start);

    public void Close(int from, int end)
    {
        if (closes)
            text.Marker(from, Markers.CallClose, end);
        else
            _grammar.Empty(from, end);
    }

    public int Separator(int after, int next)
    {
        after = values.Space(after);
        _grammar.Empty(after, next);
        return after;
    }

    /// <summary>The rule of a value up to and with its closing tag.</summary>
    public int ValueRule(Formula value)
    {
        if (value == values.Formulas.False)
            return -1;
        if (_rules.TryGetValue(value, out int rule))
            return rule;
        _rules.Add(value, rule = _grammar.NewRule());
        (int start, int end) = _grammar.Rules[rule];
        Language strings = values.Strings(value);
        if (strings == values.Languages.AnyText)
        {
            text.Add(start, [], InValues, [(Markers.ValueClose, end)]);
        }
        else if (values.Lowering.Rule(values.Languages.Intersection(strings, values.AllStrings), CharacterForm.Raw) is >= 0 and int raw)
        {
            // A parser takes the text between the tags as it is: white space would belong to the value.
            int close = _grammar.NewState();
            _grammar.Call(start, raw, close);
            text.Marker(close, Markers.ValueClose, end);
        }

        Formula others = values.Formulas.And(value, values.Formulas.Kinds(ValueKinds.All & ~ValueKinds.String));
        if (values.Rule(others) is >= 0 and int json)
            Spaced(start, json, end);

        return rule;
    }

    public void Member(int start, Language name, int valueRule, int after)
    {
        int key = _grammar.NewState();
        int named = _grammar.NewState();
        int keyEnd = _grammar.NewState();
        int value = _grammar.NewState();
        text.Marker(start, Markers.KeyOpen, key);
        int rule = values.Lowering.Rule(name, CharacterForm.Raw);
        if (rule < 0)
            return;
        _grammar.Call(key, rule, named);
        text.Marker(named, Markers.KeyClose, keyEnd);
        text.Marker(values.Space(keyEnd), Markers.ValueOpen, value);
        _grammar.Call(value, valueRule, after);
    }

    private void Spaced(int start, int rule, int end)
    {
        int close = _grammar.NewState();
        _grammar.Call(values.Space(start), rule, close);
        text.Marker(values.Space(close), Markers.ValueClose, end);
    }
}
