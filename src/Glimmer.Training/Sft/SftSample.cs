using Glimmer.Training.Batching;

namespace Glimmer.Training.Sft;

/// <summary>A record as tokens, with the weight of the loss of each.</summary>
public sealed record SftSample
{
    /// <summary>Token ids, [T], the terminator of the last turn included.</summary>
    public required int[] Tokens { get; init; }

    /// <summary>Weight of predicting each token from those before it, [T]; 0 where it is not learned, and for the first one.</summary>
    public required float[] Weights { get; init; }

    /// <summary>Name of the source; null for none.</summary>
    public string? Channel { get; init; }

    /// <summary>Where the record stands.</summary>
    public RecordPlace Place { get; init; }

    /// <summary>Turns whose thinking the template leaves out of the history. They are context and carry no loss: learning them would teach answers without their thinking.</summary>
    public int TurnsWithoutTheirThinking { get; init; }

    /// <summary>Tokens that carry loss.</summary>
    public int TargetCount => Weights.Count(weight => weight > 0);

    /// <summary>The sample as training takes it: the target of a position is the next token.</summary>
    public TrainingDocument ToDocument()
    {
        var targets = new int[Tokens.Length];
        var weights = new float[Tokens.Length];
        for (int i = 0; i < Tokens.Length; i++)
        {
            bool isTarget = i + 1 < Tokens.Length && Weights[i + 1] > 0;
            targets[i] = isTarget ? Tokens[i + 1] : -1;
            weights[i] = isTarget ? Weights[i + 1] : 0;
        }

        return new TrainingDocument(Tokens, targets, weights) { Channel = Channel };
    }
}
