using System.CommandLine;

namespace Glimmer.Cli;

/// <summary>
/// Options of vLLM and SGLang whose one meaning here is what the server does anyway: that value is accepted, so that start scripts go on working, and every other is refused with what to do
/// instead. They are not in the help.
/// </summary>
internal static class UpstreamOptions
{
    private const string OneMachine = "this server computes on the processors of one machine, so only 1 is possible.";

    // Names, accepted values, and what to do instead of others. A switch accepts "true".
    private static readonly (string Names, string Accepted, string Instead)[] s_options =
    [
        ("--tensor-parallel-size --tp-size --tp -tp", "1", OneMachine),
        ("--pipeline-parallel-size --pp-size --pp -pp", "1", OneMachine),
        ("--data-parallel-size --dp-size --dp -dp", "1", OneMachine),
        ("--expert-parallel-size --ep-size --ep", "1", OneMachine),
        ("--mem-fraction-static --gpu-memory-utilization --device-memory-utilization", "", "say how much is kept with --max-total-tokens (keys and values) and --memory-budget (weights)."),
        ("--cpu-offload-gb --expert-offload", "0", "all weights are in the processor's memory; --memory-budget leaves experts in a file."),
        ("--dtype", "auto float32 float", "sums are float32, whatever the weights are."),
        ("--quantization -q", "gguf", "write a quantised model with 'glimmer quantize' and serve that."),
        ("--load-format", "auto safetensors gguf", "the format is that of the files; random weights come from the training library."),
        ("--max-prefill-tokens", "", "use --chunked-prefill-size, the prompt tokens of one step."),
        ("--page-size --block-size", "64", "keys and values are kept in blocks of 64 positions."),
        ("--schedule-policy", "fcfs priority", "requests go in the order of their arrival, moved by the priority they ask for."),
        ("--schedule-conservativeness", "", "a request that finds no room gives its memory back and is computed again; limit --max-running-requests."),
        ("--radix-eviction-policy", "lru", "the prefixes that were used longest ago go first."),
        ("--tool-call-parser", "auto glm glm45 glm47 glm4_moe glm5", "the parser is that of the model's template; a request turns calls off with tool_choice none."),
        ("--reasoning-parser", "auto glm45", "the parser is that of the model's template."),
        ("--grammar-backend", "glimmer", "the server has its own; it cannot be turned off."),
        ("--speculative-eagle-topk", "1", "drafts are a chain."),
        ("--stream-interval", "1", "every token is sent when it is made."),
        ("--watchdog-timeout", "", "limit requests with --request-timeout and --queue-timeout."),
        ("--enable-auto-tool-choice", "true", "a request turns calls off with tool_choice none."),
        ("--disable-auto-tool-choice --no-enable-auto-tool-choice", "", "a request turns calls off with tool_choice none."),
        ("--enable-prefix-caching", "true", "turn it off with --disable-radix-cache."),
        ("--enable-metrics", "true", "/metrics is always there."),
        ("--enable-cache-report", "true", "cached tokens are always reported."),
        ("--enable-deterministic-inference", "true", "answers never depend on the batch here."),
        ("--enable-memory-saver", "", "memory cannot be given back while the server runs; stop it."),
    ];

    /// <summary>Names of the options.</summary>
    public static IEnumerable<string> Names => s_options.SelectMany(option => option.Names.Split(' '));

    /// <summary>Adds the options to a command.</summary>
    public static void AddTo(Command command)
    {
        foreach ((string names, string accepted, string instead) in s_options)
        {
            string[] all = names.Split(' ');
            bool isSwitch = accepted == "true" || all[0].StartsWith("--disable", StringComparison.Ordinal) || all[0] == "--enable-memory-saver";
            var option = new Option<string?>(all[0], all[1..]) { Hidden = true, Arity = isSwitch ? ArgumentArity.ZeroOrOne : ArgumentArity.ExactlyOne };
            option.Validators.Add(result =>
            {
                string value = result.Tokens.Count == 0 ? "true" : result.Tokens[0].Value;
                if (accepted.Split(' ').Contains(value, StringComparer.OrdinalIgnoreCase))
                    return;
                string expected = accepted.Length == 0 ? "not supported" : isSwitch ? "it cannot be turned off" : $"expected {string.Join(" or ", accepted.Split(' '))}";
                result.AddError($"{result.IdentifierToken?.Value ?? all[0]}{(result.Tokens.Count == 0 ? "" : " " + value)}: {expected}; {instead}");
            });
            command.Add(option);
        }
    }
}
