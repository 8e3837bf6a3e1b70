using System.CommandLine;
using System.Globalization;
using Glimmer.Training.Checkpoints;

namespace Glimmer.Cli;

/// <summary><c>glimmer infer</c>: <c>chat</c> with the flags of ms-swift's <c>infer</c>.</summary>
internal sealed class InferCommand : Command
{
    private readonly Terminal _terminal;
    private readonly TrainingFlags _flags;

    public InferCommand(Terminal terminal)
        : base("infer", "Talk with a model or an adapter, with the flags of ms-swift. The same as 'glimmer chat'.")
    {
        _terminal = terminal;
        _flags = new TrainingFlags()
            .One("model", "Folder or file of the model. Default for an adapter: the model it was trained on.")
            .One("mcore_model|load", "The same, for a folder under Megatron-core's names.")
            .One("adapters|mcore_adapter|mcore_adapters", "Folder of a LoRA adapter.")
            .One("max_new_tokens", "Most tokens of an answer. Default: 1024.")
            .One("temperature", "Randomness: 0 takes the most likely token.")
            .One("top_k", "Keep the n most likely tokens.")
            .One("top_p", "Keep the most likely tokens until their probabilities reach this.")
            .One("repetition_penalty", "Make tokens that occurred less likely.")
            .One("seed", "The same seed gives the same text.")
            .One("system", "System message.")
            .Switch("enable_thinking", "Let the model think first.")
            .One("query", "Ask this one message and leave.")
            .One("threads", "Computing threads.")
            .WithoutEffect("stream", "answers appear as they are made")
            .WithoutEffect("infer_backend", "there is one engine")
            .WithoutEffect("torch_dtype", "weights are read as they are stored")
            .WithoutEffect("attn_impl", "there is one implementation")
            .WithoutEffect("use_hf", "models are local")
            .AddTo(this);
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        _flags.Read(parsed);
        foreach (string notice in _flags.Notices)
            _terminal.Notice(notice);
        string? adapter = _flags.Text("adapters"), model = _flags.Text("model") ?? _flags.Text("mcore_model") ?? (adapter is null ? null : RunArguments.BaseModel(adapter));
        var arguments = new List<string> { "chat" };
        Append("--model", model);
        Append("--adapter", adapter);
        Append("--max-tokens", _flags.Whole("max_new_tokens", 1)?.ToString(CultureInfo.InvariantCulture));
        Append("--temperature", _flags.Text("temperature"));
        Append("--top-k", _flags.Text("top_k"));
        Append("--top-p", _flags.Text("top_p"));
        Append("--repetition-penalty", _flags.Text("repetition_penalty"));
        Append("--seed", _flags.Text("seed"));
        Append("--system", _flags.Text("system"));
        Append("--threads", _flags.Text("threads"));
        if (_flags.Has("enable_thinking"))
            arguments.Add(_flags.Flag("enable_thinking", true) ? "--think" : "--no-think");
        if (_flags.Text("query") is { } query)
            arguments.AddRange(["--", query]);
        return GlimmerCommand.Run(arguments, _terminal);

        void Append(string option, string? value)
        {
            if (value is not null)
                arguments.AddRange([option, value]);
        }
    }
}
