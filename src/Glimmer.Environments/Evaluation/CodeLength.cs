using System.Text.Json;
using Glimmer.Environments.Tasks;
using Glimmer.Inference;
using Glimmer.Tokenization;

namespace Glimmer.Environments.Evaluation;

/// <summary>How short a model can code the texts of a family, beside what no model can go below.</summary>
/// <param name="Family">The family: what stands before the first slash of a text's task.</param>
/// <param name="Texts">Number of texts.</param>
/// <param name="Bytes">Bytes of their scored tokens.</param>
/// <param name="Bits">Bits of the model for them.</param>
/// <param name="BoundBits">Bits of the generator's choices; NaN where the texts do not say.</param>
/// <remarks>
/// Control tokens are left out, and so is the first token of each text, which has no prediction; the bound counts the choices of whole texts, so the excess is understated by what first tokens tell.
/// </remarks>
public sealed record CodeLength(string Family, int Texts, long Bytes, double Bits, double BoundBits)
{
    /// <summary>Bits per byte.</summary>
    public double BitsPerByte => Bits / Bytes;

    /// <summary>Bits per byte of the generator.</summary>
    public double Bound => BoundBits / Bytes;

    /// <summary>Scores texts.</summary>
    /// <param name="model">The model.</param>
    /// <param name="path">JSON Lines with <c>text</c>, <c>task</c> and <c>entropy_bits</c>, as the generated corpora write them; control tokens in the texts are meant.</param>
    /// <param name="limit">Only so many texts, from the first; 0 for all.</param>
    /// <param name="progress">Told how many texts are done.</param>
    /// <param name="cancellationToken">Ends the work between two texts.</param>
    /// <returns>One entry a family in order of its first text, behind that of all texts.</returns>
    /// <exception cref="ModelFormatException">The file is malformed.</exception>
    public static IReadOnlyList<CodeLength> Of(LoadedModel model, string path, int limit = 0, IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        var sums = new Dictionary<string, CodeLength>(StringComparer.Ordinal) { ["all"] = new CodeLength("all", 0, 0, 0, 0) };
        HashSet<int> control = [.. model.Tokenizer.AddedTokens.Select(token => token.Id)];
        int done = 0;
        foreach (JsonElement row in DataRows.Read(path, "text", "task").Take(limit > 0 ? limit : int.MaxValue))
        {
            cancellationToken.ThrowIfCancellationRequested();
            int[] tokens = model.Tokenizer.Encode(row.GetProperty("text").GetString()!, EncodeOptions.RenderedPrompt);
            progress?.Report(++done);
            if (tokens.Length < 2)
                continue;
            float[] values = TextScorer.LogProbabilities(model.Model, model.Compute, tokens, cancellationToken: cancellationToken);
            (long bytes, double bits) = (0, 0);
            for (int i = 1; i < tokens.Length; i++)
            {
                if (control.Contains(tokens[i]))
                    continue;
                bytes += model.Tokenizer.TokenBytes(tokens[i]).Length;
                bits -= values[i - 1] / Math.Log(2);
            }

            double bound = row.TryGetProperty("entropy_bits", out JsonElement entropy) ? entropy.GetDouble() : double.NaN;
            foreach (string family in (string[])["all", row.GetProperty("task").GetString()!.Split('/')[0]])
            {
                CodeLength sum = sums.GetValueOrDefault(family) ?? new CodeLength(family, 0, 0, 0, 0);
                sums[family] = sum with { Texts = sum.Texts + 1, Bytes = sum.Bytes + bytes, Bits = sum.Bits + bits, BoundBits = sum.BoundBits + bound };
            }
        }

        return [.. sums.Values];
    }
}
