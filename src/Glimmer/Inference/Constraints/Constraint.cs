using Glimmer.Chat;
using Glimmer.Tokenization;

namespace Glimmer.Inference.Constraints;

/// <summary>
/// A compiled constraint on generated text: the tokens that may follow each prefix, and no prefix that cannot be completed. Shared by any number of
/// requests with the same constraint; it remembers every state and mask it has met. Not thread-safe: the thread that runs the engine uses it.
/// </summary>
public sealed class Constraint
{
    /// <summary>Bytes of masks that one constraint keeps before it starts anew.</summary>
    private const long MaxMaskBytes = 256L << 20;

    private readonly TokenTrie _trie;
    private readonly List<GrammarState> _masked = [];
    private long _maskBytes;

    internal Constraint(TokenTrie trie, Grammar grammar)
    {
        _trie = trie;
        Automaton = new GrammarAutomaton(grammar);
        if (grammar.IsEmpty)
            throw new ConstraintException("No text satisfies the constraint.");
    }

    /// <summary>The vocabulary.</summary>
    public Tokenizer Tokenizer => _trie.Tokenizer;

    /// <summary>Tokens that are allowed where the text may end.</summary>
    public IReadOnlyCollection<int> EndTokens => _trie.EndTokens;

    /// <summary>Words of 64 bits that a mask takes.</summary>
    public int MaskLength => _trie.MaskLength;

    internal GrammarAutomaton Automaton { get; }

    /// <summary>Texts that a regular expression matches from beginning to end.</summary>
    /// <param name="trie">The vocabulary.</param>
    /// <param name="pattern">ECMAScript syntax and semantics with the <c>u</c> flag, without look-behind, back references and script properties.</param>
    /// <exception cref="ConstraintException">The expression is malformed or cannot be expressed, or matches nothing.</exception>
    public static Constraint FromRegex(TokenTrie trie, string pattern)
    {
        ArgumentNullException.ThrowIfNull(trie);
        ArgumentNullException.ThrowIfNull(pattern);
        var arena = new LanguageArena();
        var builder = new GrammarBuilder();
        int rule = new LanguageLowering(builder, arena).Rule(RegexLanguage.Whole(arena, pattern), CharacterForm.Raw);
        if (rule < 0)
            throw new ConstraintException($"The regular expression '{pattern}' matches no text.");
        return new Constraint(trie, Grammar.Build(builder, rule));
    }

    /// <summary>JSON values that are valid under a schema.</summary>
    /// <param name="trie">The vocabulary.</param>
    /// <param name="schema">JSON Schema of the drafts 4 to 2020-12. What is not expressible is refused by keyword: unevaluated*, dynamic or remote references, most of uniqueItems.</param>
    /// <param name="options">How the JSON may be written.</param>
    /// <exception cref="ConstraintException">The schema is malformed, uses what an automaton cannot express, or has no valid value.</exception>
    public static Constraint FromJsonSchema(TokenTrie trie, string schema, JsonSchemaOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(trie);
        ArgumentNullException.ThrowIfNull(schema);
        return new Constraint(trie, JsonSchema.Compile(schema, options ?? new JsonSchemaOptions()));
    }

    /// <summary>Texts of a grammar in the EBNF of llama.cpp and xgrammar; it starts at <c>root</c>.</summary>
    /// <exception cref="ConstraintException">The grammar is malformed, too large, or derives no text.</exception>
    public static Constraint FromEbnf(TokenTrie trie, string grammar)
    {
        ArgumentNullException.ThrowIfNull(trie);
        ArgumentNullException.ThrowIfNull(grammar);
        return new Constraint(trie, GrammarReader.ReadEbnf(grammar).Compile());
    }

    /// <summary>Texts of a grammar in Lark's notation, without directives; it starts at <c>start</c>. Terminals are not taken greedily.</summary>
    /// <exception cref="ConstraintException">The grammar is malformed, too large, or derives no text.</exception>
    public static Constraint FromLark(TokenTrie trie, string grammar)
    {
        ArgumentNullException.ThrowIfNull(trie);
        ArgumentNullException.ThrowIfNull(grammar);
        return new Constraint(trie, GrammarReader.ReadLark(grammar).Compile());
    }

    /// <summary>Texts with structured regions, as a structural tag of xgrammar and SGLang describes them.</summary>
    /// <param name="trie">The vocabulary.</param>
    /// <param name="tag">
    /// JSON with a <c>format</c> (or one itself): const_string, json_schema (style json or glm_xml), grammar, regex, any_text, sequence, or, optional, plus, star, repeat, tag, token, triggered_tags,
    /// tags_with_separator, dispatch; or with the older <c>structures</c> and <c>triggers</c>. Free text holds no marker token of the vocabulary; formats over tokens are refused by name.
    /// </param>
    /// <exception cref="ConstraintException">The tag is malformed, or has a part that cannot be expressed.</exception>
    public static Constraint FromStructuralTag(TokenTrie trie, string tag)
    {
        ArgumentNullException.ThrowIfNull(trie);
        ArgumentNullException.ThrowIfNull(tag);
        return new Constraint(trie, StructuralTag.Compile(trie.Tokenizer, tag));
    }

    /// <summary>A turn of a GLM model with tools: reasoning, text and calls in the model's own form.</summary>
    /// <param name="trie">The vocabulary; it must have GLM's markers.</param>
    /// <param name="tools">The declared tools. A tool without parameters or with <c>"strict": false</c> takes any arguments.</param>
    /// <param name="options">What the turn may be.</param>
    /// <exception cref="ConstraintException">A schema is malformed or cannot be expressed, a named tool is not declared, or the vocabulary has no markers.</exception>
    public static Constraint FromTools(TokenTrie trie, IReadOnlyList<ToolDefinition> tools, ToolCallOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(trie);
        ArgumentNullException.ThrowIfNull(tools);
        return new Constraint(trie, ToolCallGrammar.Compile(trie.Tokenizer, tools, options ?? new ToolCallOptions()));
    }

    /// <summary>Starts a text.</summary>
    public ConstraintMatcher Start() => new(this);

    /// <summary>The tokens allowed in a state; tokens that end the text when it may end.</summary>
    internal ReadOnlySpan<ulong> Mask(GrammarState state)
    {
        if (state.Mask is null)
        {
            if (_maskBytes > MaxMaskBytes)
            {
                foreach (GrammarState old in _masked)
                    old.Mask = null;
                _masked.Clear();
                _maskBytes = 0;
            }

            var mask = new ulong[MaskLength];
            _trie.Walk(Automaton, state, mask);
            foreach (int id in Automaton.NamedTokens(state))
                mask[id >> 6] |= 1UL << (id & 63);
            if (state.CanEnd)
            {
                foreach (int id in EndTokens)
                    mask[id >> 6] |= 1UL << (id & 63);
            }

            state.Mask = mask;
            _masked.Add(state);
            _maskBytes += 8L * mask.Length;
        }

        return state.Mask;
    }
}
