using System.CommandLine;
using System.Diagnostics;
using System.Text;
using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Tokenization;

namespace Glimmer.Cli;

/// <summary><c>glimmer generate</c>: continues a text.</summary>
internal sealed class GenerateCommand : Command
{
    private readonly Terminal _terminal;
    private readonly TextInput _prompt;
    private readonly ModelOptions _model;
    private readonly SamplingArguments _sampling;
    private readonly Option<bool> _chat = new("--chat") { Description = "Put the prompt into the model's chat template as one user message." };
    private readonly Option<bool> _raw = new("--raw") { Description = "The prompt is a rendered one: special tokens in it count, nothing is added, and those of the output are shown." };
    private readonly Option<bool> _json = new("--json") { Description = "Print one JSON object: text, tokens, log-probabilities, finish reason, usage, timings." };
    private readonly Option<bool> _stats = new("--stats") { Description = "Print counts and times on the error stream." };

    public GenerateCommand(Terminal terminal)
        : base("generate", "Continue a text.")
    {
        _terminal = terminal;
        _prompt = new TextInput("--prompt", "-p", "Text to continue").AddTo(this);
        _sampling = new SamplingArguments(256).AddTo(this);
        Add(_chat);
        Add(_raw);
        Add(_json);
        Add(_stats);
        _model = new ModelOptions().AddTo(this);
        Validators.Add(result =>
        {
            if (result.GetValue(_chat) && result.GetValue(_raw))
                result.AddError("--chat and --raw exclude each other.");
        });
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        string prompt = _prompt.ReadWithoutLastLineBreak(parsed, _terminal);
        long start = Stopwatch.GetTimestamp();
        using LoadedModel model = _model.Open(parsed, _terminal);
        TimeSpan load = Stopwatch.GetElapsedTime(start);
        GenerationOptions options = _sampling.Options(parsed, model.Generation) with { StopTokens = model.StopTokens, ForbiddenTokens = model.UnusedTokens };
        using var session = new GenerationSession(model.Model, model.Compute, _sampling.Context(parsed, model));
        int[] tokens = Encode(parsed, model, prompt);
        bool json = parsed.GetValue(_json);
        var result = new GenerationResult(tokens.Length);
        var detokenizer = new Detokenizer(model.Tokenizer, skipSpecial: !parsed.GetValue(_raw));
        foreach (GeneratedToken token in session.Generate(tokens, options, _terminal.Interrupted))
        {
            result.Add(token);
            if (token.Finish != FinishReason.Stop)
                Emit(detokenizer.Append(token.Token));
        }

        Emit(detokenizer.Flush());
        if (json)
            _terminal.Output.WriteJson(writer => result.Write(writer, model, options, load));
        else
            _terminal.Output.WriteLine();
        if (parsed.GetValue(_stats))
            _terminal.Notice(result.Summary(model, load, options));
        return ExitCodes.Success;

        void Emit(ReadOnlySpan<char> text)
        {
            result.Text.Append(text);
            if (!json)
                _terminal.Output.Write(text);
        }
    }

    private int[] Encode(ParseResult parsed, LoadedModel model, string prompt)
    {
        if (parsed.GetValue(_chat))
            return model.EncodeChat([ChatMessage.User(prompt)], null, out _);
        int[] tokens = model.Tokenizer.Encode(prompt, parsed.GetValue(_raw) ? EncodeOptions.RenderedPrompt : new EncodeOptions { AddSpecialTokens = true });
        // A model that begins its documents with a token can start from it alone.
        return tokens.Length == 0 && model.Tokenizer.BosId is { } bos ? [bos] : tokens;
    }
}
