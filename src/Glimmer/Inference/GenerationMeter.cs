namespace Glimmer.Inference;

/// <summary>Times one generation: how long the prompt took until the first token, how fast the tokens after it came.</summary>
public sealed class GenerationMeter
{
    private readonly TimeProvider _clock;
    private readonly long _start;
    private long _first;
    private long _last;

    /// <summary>Starts the clock; call it just before the generation.</summary>
    /// <param name="promptTokens">Tokens of the prompt.</param>
    /// <param name="clock">The system's clock by default.</param>
    public GenerationMeter(int promptTokens, TimeProvider? clock = null)
    {
        PromptTokens = promptTokens;
        _clock = clock ?? TimeProvider.System;
        _start = _first = _last = _clock.GetTimestamp();
    }

    /// <summary>Tokens of the prompt.</summary>
    public int PromptTokens { get; }

    /// <summary>Tokens of the prompt that an earlier turn had computed.</summary>
    public int ReusedTokens { get; set; }

    /// <summary>Tokens generated so far, the stop token included.</summary>
    public int GeneratedTokens { get; private set; }

    /// <summary>Why the generation ended; null while it runs.</summary>
    public FinishReason? Finish { get; private set; }

    /// <summary>Time from the start to the first token.</summary>
    public TimeSpan ToFirstToken => _clock.GetElapsedTime(_start, _first);

    /// <summary>Time from the start to the last token.</summary>
    public TimeSpan Total => _clock.GetElapsedTime(_start, _last);

    /// <summary>Prompt tokens computed a second, until the first token.</summary>
    public double PromptTokensPerSecond => Rate(PromptTokens - ReusedTokens, _clock.GetElapsedTime(_start, _first));

    /// <summary>Tokens a second after the first one; 0 when there are none.</summary>
    public double TokensPerSecond => Rate(GeneratedTokens - 1, _clock.GetElapsedTime(_first, _last));

    /// <summary>Counts a token that has just come.</summary>
    public void Count(GeneratedToken token)
    {
        _last = _clock.GetTimestamp();
        if (GeneratedTokens++ == 0)
            _first = _last;
        Finish = token.Finish;
    }

    private static double Rate(int count, TimeSpan time) => count > 0 && time > TimeSpan.Zero ? count / time.TotalSeconds : 0;
}
