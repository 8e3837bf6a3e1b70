using System.Text.Json;
using Glimmer.Chat;

namespace Glimmer.Environments.Scorers.IfEval;

/// <summary>Which instructions of a prompt a response follows.</summary>
/// <param name="Strict">A verdict an instruction on the response as it is.</param>
/// <param name="Loose">A verdict an instruction on the best of 8 variants: without asterisks, without the first line, the last, both.</param>
public sealed record IfEvalVerdict(IReadOnlyList<bool> Strict, IReadOnlyList<bool> Loose)
{
    /// <summary>Whether the response follows all instructions.</summary>
    public bool FollowsAll => Strict.All(follows => follows);

    /// <summary>Whether some variant follows each instruction.</summary>
    public bool FollowsAllLoosely => Loose.All(follows => follows);
}

/// <summary>Grades responses to IFEval prompts: 25 types of instructions that a program can check.</summary>
/// <remarks>
/// Verdict for verdict as lm-eval 0.4.13 with nltk 3.10 and langdetect 1.0.9 (seed 0). Where an argument is missing or of no use the reference draws a random one: here a missing one is an
/// error, and a letter outside a-z is counted as it is.
/// </remarks>
public static class IfEvalGrader
{
    /// <summary>Grades a response.</summary>
    /// <param name="prompt">A row of the data: <c>instruction_id_list</c> and <c>kwargs</c>, one object an instruction.</param>
    /// <param name="response">The model's text, without reasoning.</param>
    /// <exception cref="ModelFormatException">The row lacks something, or an instruction is not known.</exception>
    public static IfEvalVerdict Grade(JsonElement prompt, string response)
    {
        ArgumentNullException.ThrowIfNull(response);
        IfEvalInstruction[] instructions = Instructions(prompt);
        string[] variants = Variants(response);
        return new IfEvalVerdict([.. instructions.Select(instruction => Follows(instruction, response))], [.. instructions.Select(instruction => variants.Any(variant => Follows(instruction, variant)))]);
    }

    private static IfEvalInstruction[] Instructions(JsonElement prompt)
    {
        if (!prompt.TryGetProperty("instruction_id_list", out JsonElement ids) || !prompt.TryGetProperty("kwargs", out JsonElement arguments)
            || ids.ValueKind != JsonValueKind.Array || arguments.ValueKind != JsonValueKind.Array || ids.GetArrayLength() != arguments.GetArrayLength())
            throw new ModelFormatException("An IFEval row needs 'instruction_id_list' and 'kwargs', arrays of the same length.");
        return [.. ids.EnumerateArray().Zip(arguments.EnumerateArray(), (id, values) => new IfEvalInstruction(id.GetString() ?? "", values))];
    }

    // An empty response follows nothing.
    private static bool Follows(IfEvalInstruction instruction, string response) => !PythonText.IsSpace(response) && InstructionChecks.Follows(instruction, response);

    private static string[] Variants(string response)
    {
        string[] lines = response.Split('\n');
        string withoutFirst = Joined(lines.Skip(1)), withoutLast = Joined(lines.SkipLast(1)), withoutBoth = Joined(lines.Skip(1).SkipLast(1));
        string[] variants = [response, withoutFirst, withoutLast, withoutBoth];
        return [.. variants, .. variants.Select(variant => variant.Replace("*", "", StringComparison.Ordinal))];
    }

    private static string Joined(IEnumerable<string> lines) => PythonText.Trim(string.Join('\n', lines)).ToString();
}
