namespace Glimmer.Inference.Constraints;

/// <summary>
/// One text under a <see cref="Constraint"/>. Accepting is cheap and can be undone token by token, so that drafted tokens are tried and rolled back;
/// <see cref="Fork"/> makes branches.
/// </summary>
public sealed class ConstraintMatcher : ITokenConstraint
{
    private readonly Constraint _constraint;
    private readonly List<GrammarState> _path;

    internal ConstraintMatcher(Constraint constraint)
    {
        _constraint = constraint;
        _path = [constraint.Automaton.Start];
    }

    private ConstraintMatcher(ConstraintMatcher other)
    {
        _constraint = other._constraint;
        _path = [.. other._path];
        IsEnded = other.IsEnded;
    }

    /// <summary>Number of accepted tokens, without the one that ended the text.</summary>
    public int Length => _path.Count - 1;

    /// <summary>Whether the text is complete as it is and a token that ends it is allowed.</summary>
    public bool CanEnd => !IsEnded && _path[^1].CanEnd;

    /// <summary>Whether a token that ends the text was accepted: nothing more is allowed.</summary>
    public bool IsEnded { get; private set; }

    /// <summary>Writes the allowed tokens.</summary>
    /// <param name="mask">One bit a token, token 0 in the lowest bit of the first word; at least <see cref="Constraint.MaskLength"/> words. Words beyond are cleared.</param>
    public void Mask(Span<ulong> mask)
    {
        int length = _constraint.MaskLength;
        if (mask.Length < length)
            throw new ArgumentOutOfRangeException(nameof(mask), $"The mask has {mask.Length} words and the vocabulary needs {length}.");
        if (IsEnded)
        {
            mask.Clear();
            return;
        }

        _constraint.Mask(_path[^1]).CopyTo(mask);
        mask[length..].Clear();
    }

    /// <summary>Whether a token may come next, without making the mask.</summary>
    public bool Allows(int id) => !IsEnded && (EndsText(id) || Next(id) != GrammarState.Dead);

    /// <summary>Takes one token.</summary>
    /// <returns>False when the token is not allowed; the text is then unchanged.</returns>
    public bool Accept(int id)
    {
        if (IsEnded)
            return false;
        GrammarState next = Next(id);
        if (next != GrammarState.Dead)
        {
            _path.Add(next);
            return true;
        }

        return IsEnded = EndsText(id);
    }

    /// <inheritdoc/>
    void ITokenConstraint.Accept(int token)
    {
        if (!Accept(token))
            throw new InvalidOperationException($"The constraint does not allow the token {token} here.");
    }

    /// <summary>Takes back the last tokens; a token that ended the text counts as one.</summary>
    /// <param name="count">Number of tokens, at most all that were accepted.</param>
    public void Rollback(int count)
    {
        int accepted = Length + (IsEnded ? 1 : 0);
        if (count < 0 || count > accepted)
            throw new ArgumentOutOfRangeException(nameof(count), count, $"The text has {accepted} tokens.");
        if (count > 0 && IsEnded)
        {
            IsEnded = false;
            count--;
        }

        _path.RemoveRange(_path.Count - count, count);
    }

    /// <summary>An independent copy that stands at the same place.</summary>
    public ConstraintMatcher Fork() => new(this);

    /// <summary>Whether the constraint takes the bytes from here; the text is unchanged.</summary>
    internal bool TryText(ReadOnlySpan<byte> text, out bool canEnd)
    {
        GrammarState state = _path[^1];
        foreach (byte b in text)
        {
            state = _constraint.Automaton.Step(state, b);
            if (state == GrammarState.Dead)
                break;
        }

        canEnd = state.CanEnd;
        return state != GrammarState.Dead;
    }

    private bool EndsText(int id) => CanEnd && _constraint.EndTokens.Contains(id);

    private GrammarState Next(int id)
    {
        GrammarState state = _path[^1];
        if ((uint)id >= (uint)_constraint.Tokenizer.VocabularySize || !_constraint.Tokenizer.HasToken(id))
            return GrammarState.Dead;
        if (_constraint.Tokenizer.IsAdded(id) || _constraint.Tokenizer.IsSpecial(id))
            return _constraint.Automaton.StepToken(state, id);
        foreach (byte b in _constraint.Tokenizer.TokenBytes(id))
        {
            state = _constraint.Automaton.Step(state, b);
            if (state == GrammarState.Dead)
                break;
        }

        return state;
    }
}
