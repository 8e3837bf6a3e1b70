using Glimmer.Models;
using Glimmer.Operations;

namespace Glimmer.Training.Sft;

/// <summary>Names of adapted layers as they are written in recipes: Hugging Face's, Megatron-core's, or <c>all-linear</c>.</summary>
public static class TargetModules
{
    /// <summary>The Hugging Face names, without repetition.</summary>
    /// <param name="model">The model.</param>
    /// <param name="names">
    /// <c>linear_qkv</c> is q, k and v; <c>linear_proj</c> o; <c>linear_fc1</c> gate and up; <c>linear_fc2</c> down; MLA has <c>linear_q_down_proj</c>, <c>linear_q_up_proj</c>,
    /// <c>linear_kv_down_proj</c>, <c>linear_kv_up_proj</c>. <c>all-linear</c> is every projection of the model. Others stay as they are.
    /// </param>
    public static IReadOnlyList<string> Of(CausalLm model, IEnumerable<string> names)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(names);
        return [.. names.SelectMany(name => Of(model, name)).Distinct(StringComparer.Ordinal)];
    }

    private static IEnumerable<string> Of(CausalLm model, string name) => name switch
    {
        "linear_qkv" => ["q_proj", "k_proj", "v_proj"],
        "linear_proj" => ["o_proj"],
        "linear_fc1" => ["gate_proj", "up_proj"],
        "linear_fc2" => ["down_proj"],
        "linear_q_proj" => ["q_proj"],
        "linear_q_down_proj" => ["q_a_proj"],
        "linear_q_up_proj" => ["q_b_proj"],
        "linear_kv_down_proj" => ["kv_a_proj_with_mqa"],
        "linear_kv_up_proj" => ["kv_b_proj"],
        "all-router" => ["gate"],
        "all-linear" => Projections(model),
        _ => [name],
    };

    // The MTP layer's own projections are no target of fine-tuning.
    private static IEnumerable<string> Projections(CausalLm model) =>
        model.Parameters.Where(parameter => parameter.Shape.Length == 2 && parameter.Name.Contains("_proj", StringComparison.Ordinal) && parameter.Name.EndsWith(".weight", StringComparison.Ordinal)
                && !parameter.Name.Contains("eh_proj", StringComparison.Ordinal) && !parameter.Name.Contains(".indexer.", StringComparison.Ordinal))
            .Select(LastName).Distinct(StringComparer.Ordinal);

    private static string LastName(Parameter parameter)
    {
        string module = parameter.Name[..^".weight".Length];
        return module[(module.LastIndexOf('.') + 1)..];
    }
}
