namespace Glimmer.Inference;

/// <summary>What becomes of running generations when an <see cref="Engine"/> pauses.</summary>
public enum PauseMode
{
    /// <summary>They end with <see cref="OperationCanceledException"/>; their readers keep the tokens so far.</summary>
    Abort,
    /// <summary>They give their memory back, keep their tokens, and are computed again afterwards.</summary>
    Retract,
    /// <summary>They stay as they are and go on afterwards.</summary>
    InPlace,
}
