using System.Text.Json;
using Glimmer.Training.Losses;

namespace Glimmer.Tests.Training.Losses;

/// <summary>Computes recorded preference cases from logits: rows 0 to pairs - 1 are chosen, the others rejected.</summary>
internal sealed class PreferenceRun
{
    private readonly float[] _policy;
    private readonly float[] _reference;
    private readonly int[] _tokens;
    private readonly int[] _completion;
    private readonly int _pairs;
    private readonly int _length;
    private readonly int _vocabulary;

    public PreferenceRun(TrainingCase golden)
    {
        (_policy, _reference, _tokens, _completion) = (golden.F32("policy_logits"), golden.F32("reference_logits"), golden.I32("tokens"), golden.I32("completion_mask"));
        (_pairs, _length, _vocabulary) = (golden.Json.GetProperty("pairs").GetInt32(), golden.Shape("tokens")[1], golden.Shape("policy_logits")[2]);
    }

    /// <summary>The value of a case and its gradient with respect to the policy's logits.</summary>
    public (double Value, float[] Gradient) Of(JsonElement json)
    {
        double Number(string key, double otherwise) => json.TryGetProperty(key, out JsonElement number) && number.ValueKind == JsonValueKind.Number ? number.GetDouble() : otherwise;
        string[] kinds = json.TryGetProperty("loss_types", out JsonElement types) ? [.. types.EnumerateArray().Select(t => t.GetString()!)] : ["sigmoid"];
        bool free = json.TryGetProperty("reference", out JsonElement reference) && reference.GetString()!.StartsWith("none", StringComparison.Ordinal);
        PreferenceDivergence divergence = json.TryGetProperty("f_divergence_type", out JsonElement type)
            ? type.GetString() switch { "forward_kl" => PreferenceDivergence.ForwardKl, "js_divergence" => PreferenceDivergence.JensenShannon, _ => PreferenceDivergence.ReverseKl } : PreferenceDivergence.ReverseKl;
        (double beta, double smoothing, double tail) = (Number("beta", 0.1), Number("label_smoothing", 0), Number("ld_alpha", 1));
        var gradient = new float[_policy.Length];
        double value = 0;
        for (int k = 0; k < kinds.Length; k++)
        {
            double weight = json.TryGetProperty("loss_weights", out JsonElement weights) ? weights[k].GetDouble() : 1;
            value += weight * (kinds[k] == "sft" ? Sft(weight, gradient) : Preference(new PreferenceLoss(Kind(kinds[k]), beta, smoothing, divergence), free, tail, weight, gradient));
        }

        return (value, gradient);
    }

    private double Preference(PreferenceLoss loss, bool free, double tail, double weight, float[] gradient)
    {
        PreferencePair[] pairs = [.. Enumerable.Range(0, _pairs).Select(i => new PreferencePair(
            Sum(_policy, i, tail), Sum(_policy, i + _pairs, tail), free ? 0 : Sum(_reference, i, tail), free ? 0 : Sum(_reference, i + _pairs, tail), Count(i), Count(i + _pairs)))];
        double value = 0;
        for (int i = 0; i < _pairs; i++)
        {
            PreferenceGradient one = loss.Of(pairs[i]);
            value += one.Value / _pairs;
            AddGradient(i, tail, weight * one.Chosen / _pairs, gradient);
            AddGradient(i + _pairs, tail, weight * one.Rejected / _pairs, gradient);
        }

        return value;
    }

    // Mean cross-entropy of the chosen answers.
    private double Sft(double weight, float[] gradient)
    {
        double tokens = Enumerable.Range(0, _pairs).Sum(Count), value = 0;
        for (int i = 0; i < _pairs; i++)
        {
            value -= Sum(_policy, i, 1) / tokens;
            AddGradient(i, 1, -weight / tokens, gradient);
        }

        return value;
    }

    private double Sum(float[] logits, int row, double tail)
    {
        double sum = 0;
        foreach ((int at, int token, double weight) in Positions(row, tail))
            sum += weight * SequenceLogProbability.Of(logits.AsSpan(at, _vocabulary), token).LogProbability;
        return sum;
    }

    private void AddGradient(int row, double tail, double upstream, float[] gradient)
    {
        foreach ((int at, int token, double weight) in Positions(row, tail))
            SequenceLogProbability.AddGradient(_policy.AsSpan(at, _vocabulary), token, weight * upstream, gradient.AsSpan(at, _vocabulary));
    }

    private int Count(int row) => Positions(row, 1).Count();

    // Logits at t predict token t + 1; tokens beyond the length of the shorter answer of the pair weigh tail.
    private IEnumerable<(int At, int Token, double Weight)> Positions(int row, double tail)
    {
        int shorter = tail == 1 ? int.MaxValue : Math.Min(Count(row % _pairs), Count((row % _pairs) + _pairs)), seen = 0;
        for (int t = 0; t + 1 < _length; t++)
        {
            int next = (row * _length) + t + 1;
            if (_completion[next] != 0)
                yield return (((row * _length) + t) * _vocabulary, _tokens[next], seen++ < shorter ? 1 : tail);
        }
    }

    private static PreferenceKind Kind(string name) => name switch
    {
        "sigmoid" => PreferenceKind.Sigmoid,
        "hinge" => PreferenceKind.Hinge,
        "ipo" => PreferenceKind.Ipo,
        "sigmoid_norm" => PreferenceKind.SigmoidPerToken,
        "robust" => PreferenceKind.Robust,
        "exo_pair" => PreferenceKind.ExoPair,
        "nca_pair" => PreferenceKind.NcaPair,
        "bco_pair" => PreferenceKind.BcoPair,
        "sppo_hard" => PreferenceKind.SppoHard,
        "apo_zero" => PreferenceKind.ApoZero,
        "apo_down" => PreferenceKind.ApoDown,
        _ => throw new NotSupportedException($"The recording has the loss {name}."),
    };
}
