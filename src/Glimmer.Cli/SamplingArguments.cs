using System.CommandLine;
using System.Security.Cryptography;
using Glimmer.Inference;
using Glimmer.Models;

namespace Glimmer.Cli;

/// <summary>The options that say how tokens are chosen and how many.</summary>
internal sealed class SamplingArguments
{
    private readonly Option<int?> _maxTokens;
    private readonly Option<int?> _context = NumberOption.Create("--context", "Most tokens of prompt and answer together. Default: what the model was made for.", 2, int.MaxValue);
    private readonly Option<float?> _temperature = NumberOption.Create("--temperature", "Randomness: 0 takes the most likely token. Default: what the model's generation_config.json says, else 0.", 0f, 100f);
    private readonly Option<int?> _topK = NumberOption.Create("--top-k", "Keep the n most likely tokens; 0 keeps all. Asks for sampling, at temperature 1 unless --temperature says otherwise.", 0, int.MaxValue);
    private readonly Option<float?> _topP = NumberOption.Create("--top-p", "Keep the most likely tokens until their probabilities reach n.", 0f, 1f, aboveMinimum: true);
    private readonly Option<float?> _minP = NumberOption.Create("--min-p", "Keep tokens at least n times as likely as the most likely one.", 0f, 1f);
    private readonly Option<float?> _repetition = NumberOption.Create("--repetition-penalty", "Make tokens that occurred less likely; 1 does nothing.", 0f, 100f, aboveMinimum: true);
    private readonly Option<ulong?> _seed = NumberOption.Create("--seed", "The same seed gives the same text. Default: a new one each time.", 0UL, ulong.MaxValue);
    private readonly int _defaultMaxTokens;

    /// <summary>Creates the options.</summary>
    /// <param name="defaultMaxTokens">Default of <c>--max-tokens</c>.</param>
    public SamplingArguments(int defaultMaxTokens)
    {
        _defaultMaxTokens = defaultMaxTokens;
        _maxTokens = NumberOption.Create("--max-tokens", $"Most tokens to generate. Default: {defaultMaxTokens}.", 1, int.MaxValue);
        _maxTokens.Aliases.Add("-n");
    }

    /// <summary>Adds the options to a command.</summary>
    public SamplingArguments AddTo(Command command)
    {
        foreach (Option option in (ReadOnlySpan<Option>)[_maxTokens, _context, _temperature, _topK, _topP, _minP, _repetition, _seed])
            command.Add(option);
        return this;
    }

    /// <summary>Most tokens of prompt and answer together; 0 for what the model was made for.</summary>
    public int Context(ParseResult parsed, LoadedModel model)
    {
        int context = parsed.GetValue(_context) ?? 0;
        int most = model.Model.Config.MaxPositionEmbeddings;
        return context <= most ? context : throw new UsageException($"--context is {context}, but the model was made for {most} tokens.");
    }

    /// <summary>When and how a generation runs: the model's own settings, overridden by options.</summary>
    public GenerationOptions Options(ParseResult parsed, GenerationConfig generation)
    {
        SamplingOptions sampling = SamplingOptions.For(generation);
        // Cutting off unlikely tokens says something only where tokens are drawn.
        bool draws = parsed.GetValue(_topK) > 0 || parsed.GetValue(_topP) < 1 || parsed.GetValue(_minP) > 0;
        if (draws && parsed.GetValue(_temperature) == 0)
            throw new UsageException("--top-k, --top-p and --min-p say nothing at --temperature 0, which takes the most likely token.");
        float temperature = parsed.GetValue(_temperature) ?? (draws && sampling.Temperature == 0 ? 1 : sampling.Temperature);
        return new GenerationOptions
        {
            MaxTokens = parsed.GetValue(_maxTokens) ?? _defaultMaxTokens,
            Sampling = sampling with
            {
                Temperature = temperature,
                TopK = parsed.GetValue(_topK) ?? sampling.TopK,
                TopP = parsed.GetValue(_topP) ?? sampling.TopP,
                MinP = parsed.GetValue(_minP) ?? sampling.MinP,
                RepetitionPenalty = parsed.GetValue(_repetition) ?? sampling.RepetitionPenalty,
                Seed = parsed.GetValue(_seed) ?? NewSeed(),
            },
        };
    }

    // Short, because people type it again.
    private static ulong NewSeed() => (ulong)RandomNumberGenerator.GetInt32(int.MaxValue);
}
