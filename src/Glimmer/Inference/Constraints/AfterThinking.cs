namespace Glimmer.Inference.Constraints;

/// <summary>What a think block at the start of a turn may hold.</summary>
/// <param name="OpenToken">The token that opens a think block; null when the vocabulary has none.</param>
/// <param name="CloseToken">The token that closes it.</param>
/// <param name="EndTokens">Tokens that end an answer; they cannot come inside of the block.</param>
/// <param name="Start">Where the turn starts.</param>
/// <param name="MaxTokens">Most tokens inside of the block; then it is closed by force. Null for no limit.</param>
public sealed record ThinkingRule(int? OpenToken, int CloseToken, IReadOnlyCollection<int> EndTokens, ReasoningStart Start, int? MaxTokens = null);

/// <summary>Lets a model think freely, up to a number of tokens, and applies a constraint to what it writes after the think block.</summary>
/// <remarks>
/// JSON or a forced choice concerns the answer, not the reasoning before it. Without an inner constraint the text after the block is free. In an open block every
/// token may come except those that end an answer and the opening token; after <see cref="ThinkingRule.MaxTokens"/> only the closing one.
/// </remarks>
public sealed class AfterThinking : ITokenConstraint
{
    private readonly ThinkingRule _rule;
    private readonly ITokenConstraint? _inner;
    private ReasoningStart _place;
    private int _thought;

    /// <summary>Creates the constraint of one sequence.</summary>
    /// <param name="rule">What the block may hold.</param>
    /// <param name="inner">The constraint on the text after the block; null for none.</param>
    public AfterThinking(ThinkingRule rule, ITokenConstraint? inner)
    {
        ArgumentNullException.ThrowIfNull(rule);
        (_rule, _inner, _place) = (rule, inner, rule.Start);
    }

    /// <inheritdoc/>
    public void Mask(Span<ulong> allowed)
    {
        if (_place == ReasoningStart.Open)
        {
            if (_thought >= _rule.MaxTokens)
            {
                allowed.Clear();
                Set(allowed, _rule.CloseToken, true);
                return;
            }

            allowed.Fill(ulong.MaxValue);
            foreach (int end in _rule.EndTokens)
                Set(allowed, end, false);
            if (_rule.OpenToken is { } open)
                Set(allowed, open, false);
            return;
        }

        if (_inner is null)
            allowed.Fill(ulong.MaxValue);
        else
            _inner.Mask(allowed);
        if (_place == ReasoningStart.Optional && _rule.OpenToken is { } optional)
            Set(allowed, optional, true);
    }

    /// <inheritdoc/>
    public void Accept(int token)
    {
        switch (_place)
        {
            case ReasoningStart.Open when token == _rule.CloseToken:
                _place = ReasoningStart.Closed;
                return;
            case ReasoningStart.Open:
                _thought++;
                return;
            case ReasoningStart.Optional when token == _rule.OpenToken:
                _place = ReasoningStart.Open;
                return;
            default:
                _place = ReasoningStart.Closed;
                _inner?.Accept(token);
                return;
        }
    }

    private static void Set(Span<ulong> mask, int token, bool value)
    {
        if (token >> 6 >= mask.Length)
            return;
        ulong bit = 1UL << (token & 63);
        mask[token >> 6] = value ? mask[token >> 6] | bit : mask[token >> 6] & ~bit;
    }
}
