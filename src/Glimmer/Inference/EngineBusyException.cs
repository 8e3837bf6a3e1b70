namespace Glimmer.Inference;

/// <summary>The engine's queue is full: the request was not taken. Servers answer 503 (Anthropic 529).</summary>
public sealed class EngineBusyException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="waiting">Requests that wait already.</param>
    public EngineBusyException(int waiting) : base($"{waiting} requests wait already and the queue is full. Try again later, or raise EngineOptions.MaxWaiting.") =>
        Waiting = waiting;

    /// <summary>Requests that wait already.</summary>
    public int Waiting { get; }
}
