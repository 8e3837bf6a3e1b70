using System.Text.Json;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Inference.Verification;

/// <summary>Losses over packed documents and the gradient of every parameter, against the recording.</summary>
internal sealed class GradientCheck(Recording recording, CausalLm model, Compute c)
{
    private readonly int[][] _documents = Lists(recording, "documents");
    private readonly int[][] _masks = Lists(recording, "loss_masks");

    public void Run(Action<string> progress)
    {
        if (!recording.Json.TryGetProperty("loss", out JsonElement loss))
            return;
        progress("loss and gradients");
        c.Begin();
        recording.CompareLoss("loss.ce", loss.GetProperty("ce").GetDouble(), TrunkLoss(masked: false, out _));
        var tape = new Tape();
        c.Begin(tape);
        ClearGradients();
        recording.CompareLoss("loss.masked_ce", loss.GetProperty("masked_ce").GetDouble(), TrunkLoss(masked: true, out Tensor hidden));
        if (recording.Json.TryGetProperty("gradients", out JsonElement gradients))
        {
            tape.Backward();
            Compare("grad.masked_ce.", gradients);
        }

        if (recording.Json.TryGetProperty("mtp_train", out JsonElement training))
            NextToken(training);
        c.Begin();
    }

    private static int[][] Lists(Recording recording, string key) =>
        recording.Json.TryGetProperty("packed", out JsonElement packed)
            ? [.. packed.GetProperty(key).EnumerateArray().Select(list => list.EnumerateArray().Select(item => item.GetInt32()).ToArray())]
            : [];

    private double TrunkLoss(bool masked, out Tensor hidden)
    {
        var batch = new Batch();
        foreach (int[] document in _documents)
            batch.AddDocument(document);
        hidden = model.Forward(c, batch);
        (int[] targets, float[] weights) = NextTokenTraining.Targets(_documents, masked ? _masks : null, depth: 0);
        return model.Loss(c, hidden, targets, weights);
    }

    private void NextToken(JsonElement training)
    {
        int depths = training.GetProperty("depths").GetInt32();
        float weight = training.GetProperty("weight").GetSingle();
        c.Begin();
        TrunkLoss(masked: true, out Tensor plain);
        double[] unmasked = NextTokenTraining.Losses(c, model.NextToken!, plain, _documents, null, depths, 1, (depth, z) =>
        {
            int rows = _documents[0].Length - depth;
            Tensor first = c.Workspace.F32(rows, z.Shape[1]);
            z.F32[..checked((int)first.Count)].CopyTo(first.F32);
            recording.Compare($"mtp.train.doc0.depth{depth}.hidden", "mtp_hidden", first.F32);
            recording.Compare($"mtp.train.doc0.depth{depth}.logits", "mtp_logits", model.NextToken!.Logits(c, first).F32);
        });
        for (int k = 0; k < depths; k++)
            recording.CompareLoss($"mtp_train.ce[{k}]", training.GetProperty("ce")[k].GetDouble(), unmasked[k]);

        var tape = new Tape();
        c.Begin(tape);
        ClearGradients();
        double total = TrunkLoss(masked: true, out Tensor hidden);
        double[] masked = NextTokenTraining.Losses(c, model.NextToken!, hidden, _documents, _masks, depths, weight / depths);
        for (int k = 0; k < depths; k++)
        {
            double ours = masked[k] / (weight / depths);
            recording.CompareLoss($"mtp_train.masked_ce[{k}]", training.GetProperty("masked_ce")[k].GetDouble(), ours);
            total += masked[k];
        }

        recording.CompareLoss("mtp_train.total", training.GetProperty("total").GetDouble(), total);
        if (!training.TryGetProperty("gradients", out JsonElement gradients))
            return;
        tape.Backward();
        Compare("grad.total.", gradients);
    }

    private void Compare(string prefix, JsonElement gradients)
    {
        var byName = model.Parameters.ToDictionary(parameter => parameter.Name);
        foreach (string key in recording.KeysWithPrefix(prefix))
        {
            string name = key[prefix.Length..];
            if (byName.TryGetValue(name, out Parameter? parameter) && parameter.Gradient is { } gradient)
                recording.CompareGradient(key, gradient.F32);
        }

        foreach (string list in (ReadOnlySpan<string>)["no_gradient", "zero"])
        {
            if (!gradients.TryGetProperty(list, out JsonElement names))
                continue;
            foreach (JsonElement name in names.EnumerateArray())
                RequireZero($"{prefix}{name.GetString()} ({list})", byName.GetValueOrDefault(name.GetString()!));
        }
    }

    // A parameter that we have no gradient for has none, as a buffer or a weight outside this loss; one that does not exist is an error.
    private void RequireZero(string key, Parameter? parameter)
    {
        if (parameter is null)
            throw new ModelFormatException($"The recording names '{key}', which is no parameter of the model.");
        recording.RequireZero(key, parameter.Gradient is { } gradient ? gradient.F32 : []);
    }

    private void ClearGradients()
    {
        foreach (Parameter parameter in model.Parameters)
            parameter.ClearGradient();
    }
}
