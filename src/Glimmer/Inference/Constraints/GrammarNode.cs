namespace Glimmer.Inference.Constraints;

/// <summary>An expression of a written grammar.</summary>
internal abstract record GrammarNode
{
    /// <summary>Texts of a language.</summary>
    internal sealed record Terminal(Language Language) : GrammarNode;

    /// <summary>What another rule derives.</summary>
    internal sealed record Reference(string Name, int Line) : GrammarNode;

    internal sealed record Chain(IReadOnlyList<GrammarNode> Items) : GrammarNode;

    internal sealed record Choice(IReadOnlyList<GrammarNode> Choices) : GrammarNode;

    /// <summary>Repetition; Max is -1 without bound.</summary>
    internal sealed record Loop(GrammarNode Body, int Min, int Max) : GrammarNode;
}

/// <summary>The rules of a written grammar by name, and the terms of their terminals.</summary>
internal sealed record WrittenGrammar(string Start, Dictionary<string, GrammarNode> Rules, LanguageArena Languages)
{
    private const int MaxCopies = 100_000;

    /// <summary>Writes the rules into an automaton.</summary>
    /// <exception cref="ConstraintException">A rule is not defined, the start rule is missing, or counts are too large.</exception>
    public Grammar Compile()
    {
        var builder = new GrammarBuilder();
        return Grammar.Build(builder, AddTo(builder));
    }

    /// <summary>Adds the rules to a grammar; the rule of the start.</summary>
    /// <exception cref="ConstraintException">A rule is not defined, the start rule is missing, or counts are too large.</exception>
    public int AddTo(GrammarBuilder builder)
    {
        if (!Rules.ContainsKey(Start))
            throw new ConstraintException($"The grammar has no rule '{Start}', which is where it starts.");
        var lowering = new LanguageLowering(builder, Languages);
        Dictionary<string, int> numbers = Rules.Keys.ToDictionary(name => name, _ => builder.NewRule());
        int copies = 0;
        foreach ((string name, GrammarNode node) in Rules)
            Write(node, builder.Rules[numbers[name]].Start, builder.Rules[numbers[name]].End);
        return numbers[Start];

        void Write(GrammarNode node, int from, int to)
        {
            if (++copies > MaxCopies)
                throw new ConstraintException($"The grammar has more than {MaxCopies} parts once its counts are written out. Use smaller counts.");
            switch (node)
            {
                case GrammarNode.Terminal terminal:
                    if (lowering.Rule(terminal.Language, CharacterForm.Raw) is >= 0 and int rule)
                        builder.Call(from, rule, to);
                    break;
                case GrammarNode.Reference reference:
                    if (!numbers.TryGetValue(reference.Name, out int called))
                        throw new ConstraintException($"Line {reference.Line} of the grammar: the rule '{reference.Name}' is not defined.");
                    builder.Call(from, called, to);
                    break;
                case GrammarNode.Choice choice:
                    foreach (GrammarNode option in choice.Choices)
                        Write(option, from, to);
                    break;
                case GrammarNode.Chain chain:
                    foreach (GrammarNode item in chain.Items)
                    {
                        int next = builder.NewState();
                        Write(item, from, next);
                        from = next;
                    }

                    builder.Empty(from, to);
                    break;
                case GrammarNode.Loop loop:
                    Repeat(loop, from, to);
                    break;
            }
        }

        void Repeat(GrammarNode.Loop loop, int from, int to)
        {
            for (int i = 0; i < loop.Min; i++)
            {
                int next = builder.NewState();
                Write(loop.Body, from, next);
                from = next;
            }

            if (loop.Max < 0)
            {
                // A state of its own, so that nothing else that starts here runs through the loop.
                int hub = builder.NewState();
                builder.Empty(from, hub);
                Write(loop.Body, hub, hub);
                builder.Empty(hub, to);
                return;
            }

            for (int i = loop.Min; i < loop.Max; i++)
            {
                builder.Empty(from, to);
                int next = builder.NewState();
                Write(loop.Body, from, next);
                from = next;
            }

            builder.Empty(from, to);
        }
    }
}
