namespace Glimmer.Inference.Constraints;

/// <summary>A parsed ECMAScript expression. Groups leave no node: nothing here captures.</summary>
internal abstract record RegexNode
{
    /// <summary>Whether the node holds an assertion (an anchor, a word boundary or a look-ahead).</summary>
    public virtual bool Asserts => false;

    internal sealed record Characters(CodePointSet Set) : RegexNode;

    internal sealed record Alternatives(IReadOnlyList<RegexNode> Choices) : RegexNode
    {
        public override bool Asserts => Choices.Any(c => c.Asserts);
    }

    internal sealed record Chain(IReadOnlyList<RegexNode> Items) : RegexNode
    {
        public override bool Asserts => Items.Any(c => c.Asserts);
    }

    /// <summary>Repetition; Max is -1 without bound. Greedy and lazy match the same texts.</summary>
    internal sealed record Loop(RegexNode Body, int Min, int Max) : RegexNode
    {
        public override bool Asserts => Body.Asserts;
    }

    internal sealed record Anchor(char Kind) : RegexNode
    {
        public override bool Asserts => true;
    }

    internal sealed record LookAhead(RegexNode Body, bool Negative) : RegexNode
    {
        public override bool Asserts => true;
    }
}
