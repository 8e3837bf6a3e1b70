using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Inference.Verification;

/// <summary>
/// Runs a checkpoint and compares everything that a reference implementation recorded for it: logits, hidden states, routing, attention
/// internals, loss, gradients, generation, MTP. Whatever is recorded is compared; a recorded value that nothing was compared with is an error.
/// </summary>
public sealed class ReferenceVerifier
{
    private readonly Checkpoint _checkpoint;
    private readonly Recording _recording;
    private readonly ThreadTeam _team;
    private readonly Action<string> _progress;
    private readonly ModelConfig _config;

    private ReferenceVerifier(Checkpoint checkpoint, Recording recording, ThreadTeam team, Action<string> progress)
    {
        (_checkpoint, _recording, _team, _progress) = (checkpoint, recording, team, progress);
        _config = checkpoint.Config with { MlaLatentNormEps = Number(recording.Json, "latent_norm_eps") ?? checkpoint.Config.MlaLatentNormEps };
    }

    /// <summary>Verifies a checkpoint folder.</summary>
    /// <param name="folder">Holds the checkpoint, <c>reference.json</c> and <c>reference.safetensors</c>.</param>
    /// <param name="team">Threads.</param>
    /// <param name="progress">Told what is being compared.</param>
    /// <returns>One entry a recorded value.</returns>
    /// <exception cref="ModelFormatException">Checkpoint or recording are damaged.</exception>
    /// <exception cref="UnsupportedModelException">The architecture is not known.</exception>
    public static IReadOnlyList<ReferenceDifference> Run(string folder, ThreadTeam team, Action<string>? progress = null)
    {
        using Recording recording = Recording.Open(folder);
        using Checkpoint checkpoint = Checkpoint.Open(folder);
        var verifier = new ReferenceVerifier(checkpoint, recording, team, progress ?? (_ => { }));
        try
        {
            verifier.Run();
        }
        catch (Exception error) when (error is KeyNotFoundException or InvalidOperationException or FormatException or IndexOutOfRangeException)
        {
            throw new ModelFormatException($"The recording in '{folder}' is damaged or of another version: {error.Message}", error);
        }

        return [.. recording.Differences, .. recording.NotCompared.Select(key => new ReferenceDifference(key, "not compared", double.NaN, 0, 0))];
    }

    private void Run()
    {
        using var c = new Compute(_team);
        using (CausalLm model = _checkpoint.LoadModel(_team, _config))
        {
            _recording.CompareBits("inv_freq", "inv_freq", model.Rotation.InverseFrequencies);
            foreach (JsonElement sequence in Items("sequences"))
                Sequence(c, model, sequence);
            Packed(c, model);
            int index = 0;
            foreach (JsonElement generation in Items("generation"))
                Generation(c, model, generation, index++);
            Drafts(c, model, "", "mtp_draft", shareSelection: false);
            Drafts(c, model, "index_shared.", "mtp_draft_index_shared", shareSelection: true);
            model.EnableGradients();
            new GradientCheck(_recording, model, c).Run(_progress);
        }

        if (_recording.Json.TryGetProperty("eps", out JsonElement eps))
            OtherLatentEps(c, eps);
    }

    // Details of one sequence: the observer sees what the layers compute.
    private void Sequence(Compute c, CausalLm model, JsonElement sequence)
    {
        string name = sequence.GetProperty("name").GetString()!;
        _progress($"sequence {name}");
        int[] tokens = Tokens(sequence.GetProperty("tokens"));
        c.Begin();
        c.Observer = (key, value) => Observe($"{name}.", key, value);
        var batch = new Batch();
        batch.AddDocument(tokens);
        Tensor hidden = model.Forward(c, batch);
        c.Observer = null;
        _recording.Compare($"{name}.logits", "logits", model.Logits(c, hidden).F32);
    }

    private void Observe(string prefix, string key, Tensor value)
    {
        string part = key[(key.LastIndexOf('.') + 1)..];
        string layer = key[..^part.Length];
        string full = prefix + key;
        switch (part)
        {
            case "experts":
                _recording.CompareIntegers(full, part, value.I32, value.Shape[1]);
                break;
            case "index_positions":
                _recording.CompareIntegers(full, part, value.I32, value.Shape[1]);
                break;
            case "key": // [T, latent | rotated key]
                _recording.Compare(prefix + layer + "kv_latent", "latent", Columns(value, 1, 0, _config.KvLoraRank));
                _recording.Compare(prefix + layer + "k_rope", "k_rope", Permuted(Columns(value, 1, _config.KvLoraRank, _config.QkRopeHeadDim), _config.QkRopeHeadDim));
                break;
            case "q_projected": // [T, H, unrotated | rotary part before rotation]
                _recording.Compare(prefix + layer + "q_nope", "q_nope", Columns(value, _config.NumAttentionHeads, 0, _config.QkNopeHeadDim));
                break;
            case "query": // [T, H, absorbed | rotated]
                float[] rotated = Columns(value, _config.NumAttentionHeads, _config.KvLoraRank, _config.QkRopeHeadDim);
                _recording.Compare(prefix + layer + "q_rope", "q_rope", Permuted(rotated, _config.QkRopeHeadDim));
                break;
            case "q_latent":
                _recording.Compare(full, "latent", value.F32);
                break;
            case "index_q" or "index_k":
                _recording.Compare(full, part, Permuted(value.F32.ToArray(), _config.IndexHeadDim));
                break;
            default:
                _recording.Compare(full, part.StartsWith("layer", StringComparison.Ordinal) || key.StartsWith("hidden.", StringComparison.Ordinal) ? "hidden" : part, value.F32);
                break;
        }
    }

    private void Packed(Compute c, CausalLm model)
    {
        if (!_recording.Has("packed.logits"))
            return;
        _progress("packed documents");
        var batch = new Batch();
        foreach (JsonElement document in _recording.Json.GetProperty("packed").GetProperty("documents").EnumerateArray())
            batch.AddDocument(Tokens(document));
        c.Begin();
        _recording.Compare("packed.logits", "logits", model.Logits(c, model.Forward(c, batch)).F32);
    }

    // Greedy, with the cache: the prompt at once, then a token at a time.
    private void Generation(Compute c, CausalLm model, JsonElement generation, int index)
    {
        _progress($"generation {index}");
        int[] prompt = Tokens(generation.GetProperty("prompt"));
        int[] expected = Tokens(generation.GetProperty("tokens"));
        using var cache = new KeyValueCache(model.CacheSlots);
        using CachedSequence sequence = cache.NewSequence();
        var batch = new Batch();
        var logits = new List<float>();
        var tokens = new List<int>();
        ReadOnlySpan<int> input = prompt;
        int position = 0;
        while (tokens.Count < expected.Length)
        {
            batch.Clear();
            batch.AddCached(sequence, input, position);
            position += input.Length;
            c.Begin();
            Tensor row = model.Logits(c, model.Forward(c, batch), [input.Length - 1]);
            logits.AddRange(row.F32);
            tokens.Add(TopK.ArgMax(row.F32));
            input = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(tokens)[^1..];
        }

        _recording.CompareTokens($"gen{index}.tokens", expected, tokens);
        _recording.Compare($"gen{index}.logits", "logits", System.Runtime.InteropServices.CollectionsMarshal.AsSpan(logits));
    }

    private void Drafts(Compute c, CausalLm model, string part, string list, bool shareSelection)
    {
        int index = 0;
        foreach (JsonElement draft in Items(list))
        {
            // The index-shared chains repeat the prompts of the ordinary ones.
            JsonElement source = shareSelection ? _recording.Json.GetProperty("mtp_draft")[index] : draft;
            Draft(c, model, $"mtp.draft{index++}.", part, Tokens(source.GetProperty("prompt")), source.GetProperty("next_token").GetInt32(),
                Tokens(draft.GetProperty("draft_tokens")), shareSelection);
        }
    }

    private void Draft(Compute c, CausalLm model, string prefix, string part, int[] prompt, int nextToken, int[] expected, bool shareSelection)
    {
        _progress(prefix + part + "drafts");
        if (model.NextToken is not { } head)
            throw new ModelFormatException("The recording has MTP drafts, but the checkpoint has no MTP layer.");
        using var cache = new KeyValueCache(model.CacheSlots);
        using CachedSequence sequence = cache.NewSequence();
        c.Begin();
        var batch = new Batch();
        batch.AddCached(sequence, prompt, 0);
        Tensor hidden = model.Forward(c, batch);
        int next = TopK.ArgMax(model.Logits(c, hidden, [prompt.Length - 1]).F32);
        _recording.CompareTokens(prefix + part + "next_token", [nextToken], [next]);
        DraftChain chain = head.Draft(c, sequence, [.. prompt[1..], next], 0, hidden, expected.Length, shareSelection);
        _recording.Compare(prefix + "step1_hidden", "mtp_hidden", chain.FirstStates.F32);
        _recording.Compare(prefix + part + "hidden", "mtp_hidden", chain.States.F32);
        _recording.Compare(prefix + part + "logits", "mtp_logits", chain.Logits.F32);
        _recording.CompareTokens(prefix + part + "draft_tokens", expected, chain.Tokens);
    }

    private void OtherLatentEps(Compute c, JsonElement eps)
    {
        _progress("latent norm eps");
        using CausalLm model = _checkpoint.LoadModel(_team, _config with { MlaLatentNormEps = eps.GetProperty("latent_norm_eps").GetSingle() });
        string name = eps.GetProperty("sequence").GetString()!;
        JsonElement sequence = Items("sequences").First(s => s.GetProperty("name").GetString() == name);
        var batch = new Batch();
        batch.AddDocument(Tokens(sequence.GetProperty("tokens")));
        c.Begin();
        Tensor hidden = model.Forward(c, batch);
        _recording.Compare($"eps1e5.{name}.hidden.final_norm", "hidden", hidden.F32);
        _recording.Compare($"eps1e5.{name}.logits", "logits", model.Logits(c, hidden).F32);
        int index = 0;
        foreach (JsonElement source in Items("mtp_draft"))
        {
            if (eps.TryGetProperty($"draft{index}", out JsonElement draft))
            {
                Draft(c, model, $"eps1e5.mtp.draft{index}.", "", Tokens(source.GetProperty("prompt")), draft.GetProperty("next_token").GetInt32(),
                    Tokens(draft.GetProperty("draft_tokens")), shareSelection: false);
            }

            index++;
        }
    }

    // The reference returns rotated parts half-split: recorded[j] = ours[permutation[j]] within the rotary dimensions.
    private float[] Permuted(float[] values, int headDim)
    {
        if (!_recording.Json.TryGetProperty("rope_permutation", out JsonElement list) || _recording.Json.GetProperty("rope_key_order").GetString() != "half_split")
            return values;
        int[] permutation = Tokens(list);
        var row = new float[permutation.Length];
        for (int start = 0; start < values.Length; start += headDim)
        {
            for (int j = 0; j < row.Length; j++)
                row[j] = values[start + permutation[j]];
            row.CopyTo(values, start);
        }

        return values;
    }

    // Columns first .. first + count of every head of every row.
    private static float[] Columns(Tensor value, int heads, int first, int count)
    {
        int width = value.Shape[1] / heads;
        int rows = value.Shape[0] * heads;
        var columns = new float[rows * count];
        for (int r = 0; r < rows; r++)
            value.F32.Slice((r * width) + first, count).CopyTo(columns.AsSpan(r * count));
        return columns;
    }

    private IEnumerable<JsonElement> Items(string key) =>
        _recording.Json.TryGetProperty(key, out JsonElement list) && list.ValueKind == JsonValueKind.Array ? list.EnumerateArray() : [];

    private static int[] Tokens(JsonElement list) => [.. list.EnumerateArray().Select(item => item.GetInt32())];

    private static float? Number(JsonElement json, string key) =>
        json.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.Number ? value.GetSingle() : null;
}
