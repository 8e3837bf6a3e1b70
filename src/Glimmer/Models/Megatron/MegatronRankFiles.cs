using Glimmer.Formats;

namespace Glimmer.Models.Megatron;

/// <summary>The tensors in the files of one rank, found under any of the spellings of their names.</summary>
internal sealed class MegatronRankFiles
{
    private readonly Dictionary<string, (SafetensorsFile File, TensorInfo Info)> _stored = new(StringComparer.Ordinal);
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);

    public MegatronRankFiles(IEnumerable<SafetensorsFile> files)
    {
        foreach (SafetensorsFile file in files)
        {
            foreach (TensorInfo info in file.Tensors)
                _stored[info.Name.StartsWith("module.", StringComparison.Ordinal) ? info.Name["module.".Length..] : info.Name] = (file, info);
        }
    }

    /// <summary>Whether the indexer is spelled as in slime, with swapped halves.</summary>
    public bool IsSlime => _stored.Keys.Any(name => name.EndsWith(".self_attention.wq_b.weight", StringComparison.Ordinal));

    /// <summary>Whether the MTP layer is there.</summary>
    public bool HasNextToken => _stored.Keys.Any(name => name.StartsWith("mtp.", StringComparison.Ordinal));

    /// <summary>Names that were never taken.</summary>
    public string[] Unused => [.. _stored.Values.Select(found => found.Info.Name).Where(name => !_used.Contains(name))];

    /// <summary>Whether a tensor is there.</summary>
    public bool Has(string name) => Find(name) is not null;

    /// <summary>A tensor, or null.</summary>
    public (SafetensorsFile File, TensorInfo Info)? Find(string name)
    {
        foreach (string spelling in Spellings(name))
        {
            if (_stored.TryGetValue(spelling, out (SafetensorsFile, TensorInfo) found))
                return found;
        }

        return null;
    }

    /// <summary>A tensor, which counts as used, or null.</summary>
    public (SafetensorsFile File, TensorInfo Info)? Take(string name)
    {
        (SafetensorsFile File, TensorInfo Info)? found = Find(name);
        if (found is { } tensor)
            _used.Add(tensor.Info.Name);
        return found;
    }

    private static IEnumerable<string> Spellings(string name)
    {
        foreach (string spelling in (string[])[name, Unfused(name), name.Replace(".q_layernorm.weight", ".linear_q_up_proj.layer_norm_weight", StringComparison.Ordinal).Replace(".kv_layernorm.weight", ".linear_kv_up_proj.layer_norm_weight", StringComparison.Ordinal)])
        {
            yield return spelling;
            yield return spelling.Replace(".transformer_layer.", ".mtp_model_layer.", StringComparison.Ordinal);
        }
    }

    private static string Unfused(string name)
    {
        name = name.Replace("self_attention.linear_qkv.layer_norm_weight", "input_layernorm.weight", StringComparison.Ordinal)
            .Replace("mlp.linear_fc1.layer_norm_weight", "pre_mlp_layernorm.weight", StringComparison.Ordinal);
        int expert = name.IndexOf(".mlp.experts.linear_fc", StringComparison.Ordinal);
        if (expert < 0)
            return name;
        int number = name.LastIndexOf(".weight", StringComparison.Ordinal) + ".weight".Length;
        string layer = name[(expert + ".mlp.experts.".Length)..(number - ".weight".Length)];
        return $"{name[..expert]}.mlp.experts.local_experts.{name[number..]}.{layer}.weight";
    }
}
