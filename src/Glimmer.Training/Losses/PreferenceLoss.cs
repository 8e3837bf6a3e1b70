namespace Glimmer.Training.Losses;

/// <summary>Losses that raise the probability of a chosen answer over a rejected one.</summary>
public enum PreferenceKind
{
    /// <summary>DPO: <c>-log sigmoid(beta d)</c>, d the difference of the log-ratios; with label smoothing e <c>-(1 - e) log sigmoid(beta d) - e log sigmoid(-beta d)</c>.</summary>
    Sigmoid,

    /// <summary><c>max(0, 1 - beta d)</c>.</summary>
    Hinge,

    /// <summary>IPO: <c>(d - 1 / (2 beta))^2</c>, log-ratios per token.</summary>
    Ipo,

    /// <summary>DPO on log-ratios per token.</summary>
    SigmoidPerToken,

    /// <summary>Robust DPO: the smoothed loss made unbiased, <c>(-(1 - e) log sigmoid(beta d) + e log sigmoid(-beta d)) / (1 - 2 e)</c>.</summary>
    Robust,

    /// <summary>EXO: KL of <c>(sigmoid(beta d), sigmoid(-beta d))</c> from <c>(1 - e, e)</c>.</summary>
    ExoPair,

    /// <summary>NCA: <c>-log sigmoid(c) - (log sigmoid(-c) + log sigmoid(-r)) / 2</c>, c and r the rewards.</summary>
    NcaPair,

    /// <summary>BCO: <c>-log sigmoid(c - center) - log sigmoid(center - r)</c>.</summary>
    BcoPair,

    /// <summary>SPPO: <c>(log-ratio of chosen - 1 / (2 beta))^2 + (log-ratio of rejected + 1 / (2 beta))^2</c>.</summary>
    SppoHard,

    /// <summary>APO, both move: <c>1 - sigmoid(c) + sigmoid(r)</c>.</summary>
    ApoZero,

    /// <summary>APO, both fall: <c>sigmoid(c) + 1 - sigmoid(c - r)</c>.</summary>
    ApoDown,
}

/// <summary>How far a policy has moved from its reference, as DPO measures it.</summary>
public enum PreferenceDivergence
{
    /// <summary>The log-ratio x itself.</summary>
    ReverseKl,

    /// <summary><c>-exp(-x)</c>.</summary>
    ForwardKl,

    /// <summary><c>log sigmoid(x)</c>, up to a constant.</summary>
    JensenShannon,
}

/// <summary>Log-probabilities of a pair of answers: sums over their tokens.</summary>
/// <param name="Chosen">Of the chosen answer under the policy.</param>
/// <param name="Rejected">Of the rejected answer under the policy.</param>
/// <param name="ReferenceChosen">Of the chosen answer under the reference; 0 without one.</param>
/// <param name="ReferenceRejected">Of the rejected answer under the reference; 0 without one.</param>
/// <param name="ChosenTokens">Tokens of the chosen answer.</param>
/// <param name="RejectedTokens">Tokens of the rejected answer.</param>
public readonly record struct PreferencePair(double Chosen, double Rejected, double ReferenceChosen, double ReferenceRejected, int ChosenTokens, int RejectedTokens);

/// <summary>A loss of one pair and its gradient with respect to the two log-probabilities under the policy.</summary>
/// <param name="Value">The loss.</param>
/// <param name="Chosen">d value / d log p(chosen).</param>
/// <param name="Rejected">d value / d log p(rejected).</param>
public readonly record struct PreferenceGradient(double Value, double Chosen, double Rejected);

/// <summary>DPO and its relatives, in fp64. Take the mean over the pairs of a batch.</summary>
/// <remarks>Rafailov et al. 2023 (arXiv 2305.18290); the forms of trl 1.16 <c>DPOTrainer</c>. Rewards are <c>beta</c> times the log-ratio.</remarks>
/// <param name="Kind">Which loss.</param>
/// <param name="Beta">How strongly the policy is held to its reference.</param>
/// <param name="LabelSmoothing">e: the share of pairs that may be labelled the wrong way round.</param>
/// <param name="Divergence">Measure of the distance from the reference, for the losses of the difference d.</param>
public sealed record PreferenceLoss(PreferenceKind Kind, double Beta, double LabelSmoothing = 0, PreferenceDivergence Divergence = PreferenceDivergence.ReverseKl)
{
    /// <summary>The loss of one pair.</summary>
    /// <param name="pair">The pair.</param>
    /// <param name="center">For <see cref="PreferenceKind.BcoPair"/>: the running mean of the rewards before this batch, 0 at the start; it carries no gradient.</param>
    public PreferenceGradient Of(PreferencePair pair, double center = 0)
    {
        double chosen = pair.Chosen - pair.ReferenceChosen, rejected = pair.Rejected - pair.ReferenceRejected;
        (double c, double r, double e) = (Beta * chosen, Beta * rejected, LabelSmoothing);
        switch (Kind)
        {
            case PreferenceKind.NcaPair:
                return new PreferenceGradient(
                    -LogSigmoid(c) - (0.5 * LogSigmoid(-c)) - (0.5 * LogSigmoid(-r)), Beta * (-Sigmoid(-c) + (0.5 * Sigmoid(c))), Beta * 0.5 * Sigmoid(r));
            case PreferenceKind.BcoPair:
                return new PreferenceGradient(-LogSigmoid(c - center) - LogSigmoid(center - r), -Beta * Sigmoid(center - c), Beta * Sigmoid(r - center));
            case PreferenceKind.SppoHard:
                (double a, double b) = (chosen - (0.5 / Beta), rejected + (0.5 / Beta));
                return new PreferenceGradient((a * a) + (b * b), 2 * a, 2 * b);
            case PreferenceKind.ApoZero:
                return new PreferenceGradient(Sigmoid(-c) + Sigmoid(r), -Beta * Slope(c), Beta * Slope(r));
            case PreferenceKind.ApoDown:
                return new PreferenceGradient(Sigmoid(c) + Sigmoid(r - c), Beta * (Slope(c) - Slope(c - r)), Beta * Slope(c - r));
        }

        // The others see the difference of the two alone.
        bool perToken = Kind is PreferenceKind.Ipo or PreferenceKind.SigmoidPerToken;
        (double lengthChosen, double lengthRejected) = perToken ? (Math.Max(pair.ChosenTokens, 1), Math.Max(pair.RejectedTokens, 1)) : (1, 1);
        (double scoreChosen, double slopeChosen) = Score(chosen / lengthChosen);
        (double scoreRejected, double slopeRejected) = Score(rejected / lengthRejected);
        double d = scoreChosen - scoreRejected, x = Beta * d;
        (double value, double slope) = Kind switch
        {
            PreferenceKind.Sigmoid or PreferenceKind.SigmoidPerToken =>
                ((-(1 - e) * LogSigmoid(x)) - (e * LogSigmoid(-x)), Beta * ((-(1 - e) * Sigmoid(-x)) + (e * Sigmoid(x)))),
            PreferenceKind.Hinge => (Math.Max(0, 1 - x), x < 1 ? -Beta : 0),
            PreferenceKind.Ipo => ((d - (0.5 / Beta)) * (d - (0.5 / Beta)), 2 * (d - (0.5 / Beta))),
            PreferenceKind.Robust =>
                (((-(1 - e) * LogSigmoid(x)) + (e * LogSigmoid(-x))) / (1 - (2 * e)), Beta * ((-(1 - e) * Sigmoid(-x)) - (e * Sigmoid(x))) / (1 - (2 * e))),
            PreferenceKind.ExoPair => Exo(x, e),
            _ => throw new NotSupportedException($"There is no preference loss {Kind}."),
        };
        return new PreferenceGradient(value, slope * slopeChosen / lengthChosen, -slope * slopeRejected / lengthRejected);
    }

    private (double Value, double Slope) Exo(double x, double e)
    {
        if (!(e is > 0 and < 1))
            throw new InvalidOperationException($"EXO needs a label smoothing between 0 and 1, not {e}; 1e-3 is usual.");
        (double win, double lose) = (LogSigmoid(x) - Math.Log(1 - e), LogSigmoid(-x) - Math.Log(e));
        return ((Sigmoid(x) * win) + (Sigmoid(-x) * lose), Beta * Slope(x) * (win - lose));
    }

    private (double Score, double Slope) Score(double x) => Divergence switch
    {
        PreferenceDivergence.ForwardKl => (-Math.Exp(-x), Math.Exp(-x)),
        PreferenceDivergence.JensenShannon => (LogSigmoid(x), Sigmoid(-x)),
        _ => (x, 1),
    };

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    private static double Slope(double x) => Sigmoid(x) * Sigmoid(-x);

    private static double LogSigmoid(double x) => x >= 0 ? -Math.Log(1 + Math.Exp(-x)) : x - Math.Log(1 + Math.Exp(x));
}
