using System.CommandLine;
using System.Globalization;
using Glimmer.Inference;
using Glimmer.Tokenization;
using Spectre.Console;

namespace Glimmer.Cli;

/// <summary><c>glimmer score</c>: how likely a text is under a model.</summary>
internal sealed class ScoreCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Argument<string?> _path = new("model") { Arity = ArgumentArity.ZeroOrOne, Description = "Folder or file of the model, as --model." };
    private readonly TextInput _text;
    private readonly ModelOptions _model;
    private readonly Option<bool> _json = new("--json") { Description = "Print one JSON object instead of a table." };
    private readonly Option<bool> _summary = new("--summary") { Description = "Leave out the single tokens." };
    private readonly Option<bool> _special = new("--special") { Description = "Special tokens in the text, such as <|user|>, become their ids. By default they are ordinary text." };

    public ScoreCommand(Terminal terminal)
        : base("score", "Score a text: log-probability of every token after the first, perplexity, bits per byte.")
    {
        _terminal = terminal;
        Add(_path);
        _text = new TextInput("--text", "-t", "Text to score").AddTo(this);
        foreach (Option option in (ReadOnlySpan<Option>)[_json, _summary, _special])
            Add(option);
        _model = new ModelOptions().AddTo(this);
        Validators.Add(result =>
        {
            if (result.GetValue(_path) is not null && _model.IsGiven(result))
                result.AddError("A model and --model exclude each other.");
        });
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        string text = _text.Read(parsed, _terminal);
        using LoadedModel model = _model.Open(parsed, _terminal, parsed.GetValue(_path));
        var options = new EncodeOptions { AddedTokens = parsed.GetValue(_special) ? AddedTokenMatching.All : AddedTokenMatching.None, AddSpecialTokens = true };
        int[] tokens = model.Tokenizer.Encode(text, options);
        TextScore score;
        using (var progress = new ProgressLine(_terminal))
            score = TextScore.Of(model, tokens, progress.Of<int>(done => $"scoring: {done} of {tokens.Length} tokens"), _terminal.Interrupted);
        if (parsed.GetValue(_json))
            WriteJson(model, score, parsed.GetValue(_summary));
        else
            WriteTable(model.Tokenizer, score, parsed.GetValue(_summary));
        return ExitCodes.Success;
    }

    private void WriteJson(LoadedModel model, TextScore score, bool summary) => _terminal.Output.WriteJson(writer =>
    {
        writer.WriteStartObject();
        writer.WriteString("model", Path.GetFileName(Path.TrimEndingDirectorySeparator(model.Path)));
        if (!summary)
        {
            writer.WriteNumbers("tokens", score.Tokens);
            writer.WriteNumbers("logprobs", score.LogProbabilities);
        }

        writer.WriteNumber("scored_tokens", score.LogProbabilities.Count);
        writer.WriteNumber("scored_bytes", score.ScoredBytes);
        writer.WriteFinite("logprob_sum", score.Sum);
        writer.WriteFinite("perplexity", score.Perplexity);
        writer.WriteFinite("bits_per_byte", score.BitsPerByte);
        writer.WriteEndObject();
    });

    private void WriteTable(Tokenizer tokenizer, TextScore score, bool summary)
    {
        if (!summary)
        {
            Table table = _terminal.NewTable("#", "#id", "piece", "#log p", "#p");
            for (int i = 0; i < score.Tokens.Count; i++)
            {
                float? value = i == 0 ? null : score.LogProbabilities[i - 1];
                Terminal.AddRow(
                    table, i.ToString(CultureInfo.InvariantCulture), score.Tokens[i].ToString(CultureInfo.InvariantCulture), TokenText.Show(tokenizer, score.Tokens[i]),
                    value is { } logProbability ? $"{logProbability:f4}" : "", value is { } exponent ? $"{Math.Exp(exponent):p2}" : "");
            }

            _terminal.Write(table);
        }

        _terminal.Output.WriteLine($"{"scored tokens",-16}{score.LogProbabilities.Count}");
        _terminal.Output.WriteLine($"{"scored bytes",-16}{score.ScoredBytes}");
        _terminal.Output.WriteLine($"{"log p",-16}{score.Sum:f4}");
        _terminal.Output.WriteLine($"{"perplexity",-16}{score.Perplexity:f4}");
        _terminal.Output.WriteLine($"{"bits per byte",-16}{score.BitsPerByte:f4}");
    }
}
