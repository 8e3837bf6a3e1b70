using System.CommandLine;
using System.Diagnostics;
using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Server;
using Glimmer.Server.Accounting;
using Glimmer.Server.Turns;

namespace Glimmer.Cli;

/// <summary><c>glimmer serve</c>: serves a model over HTTP.</summary>
internal sealed class ServeCommand : Command
{
    private readonly Terminal _terminal;
    private readonly ModelOptions _model;
    private readonly Argument<string?> _path = new("model") { Arity = ArgumentArity.ZeroOrOne, Description = "Folder or file of the model. Default: the small model that comes with Glimmer." };
    private readonly Option<string?> _config = new("--config") { Description = "YAML or JSON file with options; the command line and GLIMMER_<OPTION> variables win.", HelpName = "path" };
    private readonly Option<string> _host = new("--host") { Description = "Address to listen on. Other machines need a key.", DefaultValueFactory = _ => "127.0.0.1" };
    private readonly Option<int> _port = new("--port") { Description = "Port to listen on; 0 takes a free one.", DefaultValueFactory = _ => 30000 };
    private readonly Option<string[]> _names = new("--served-model-name") { Description = "Name under which clients know the model; repeatable, the first is reported.", AllowMultipleArgumentsPerToken = true, HelpName = "name" };
    private readonly Option<string[]> _aliases = new("--model-alias") { Description = "FROM=TO: another name for a served one; FROM may end in *.", HelpName = "from=to" };
    private readonly Option<bool> _anyModel = new("--accept-any-model") { Description = "Take any model name." };
    private readonly Option<string[]> _keys = new("--api-key") { Description = "Key that clients must send; repeatable.", HelpName = "key" };
    private readonly Option<string?> _keyFile = new("--api-key-file") { Description = "File with one key a line.", HelpName = "path" };
    private readonly Option<string?> _adminKey = new("--admin-api-key") { Description = "Key of the control endpoints.", HelpName = "key" };
    private readonly Option<string?> _usage = new("--usage-db") { Description = "Keep a log of usage: a SQLite file, or a connection string of PostgreSQL.", HelpName = "database" };
    private readonly Option<string?> _prices = new("--prices") { Description = "JSON file with prices of models, per million tokens.", HelpName = "path" };
    private readonly Option<bool> _metricsKey = new("--metrics-auth") { Description = "Let /metrics need a key." };
    private readonly Option<int?> _metricsPort = NumberOption.Create("--metrics-port", "Serve /metrics on a port of its own, and there only. Default: the server's port.", 1, 65535);
    private readonly Option<string?> _certificate = new("--ssl-certfile") { Description = "PEM file of a certificate and its chain: the server speaks HTTPS.", HelpName = "path" };
    private readonly Option<string?> _certificateKey = new("--ssl-keyfile") { Description = "PEM file of the certificate's key, when it is not in the same file.", HelpName = "path" };
    private readonly Option<string[]> _weightRoots = new("--allow-weight-root") { Description = "Folder that /update_weights_from_disk may load from; repeatable.", HelpName = "path" };
    private readonly Option<bool> _strict = new("--strict-max-tokens") { Description = "Refuse requests for more tokens than the context has left, instead of cutting." };
    private readonly Option<string> _thinking = new("--default-thinking") { Description = "Whether models think when a request does not say: on, off, model.", DefaultValueFactory = _ => "model" };
    private readonly Option<string> _preserve = new("--agent-preserve-thinking") { Description = "Keep earlier reasoning in the prompt of requests with tools: on, off.", DefaultValueFactory = _ => "on" };
    private readonly Option<string> _sampling = new("--sampling-defaults") { Description = "Where sampling defaults come from: model, openai.", DefaultValueFactory = _ => "model" };
    private readonly Option<int?> _thinkingTokens = NumberOption.Create("--max-thinking-tokens", "Most tokens of reasoning; then it is closed by force.", 1, int.MaxValue);

    private readonly Option<string[]> _origins = new("--cors-allow-origins", "--allowed-origins") { Description = "Origin whose web pages may call, such as http://localhost:3000; repeatable.", HelpName = "origin" };
    private readonly Option<long?> _bytes = NumberOption.Create("--max-request-bytes", "Largest body of a request. Default: 67108864.", 1L, long.MaxValue);
    private readonly Option<double?> _requestTimeout = NumberOption.Create("--request-timeout", "Longest time of a request in seconds. Default: no limit.", 0d, 1e7, aboveMinimum: true);
    private readonly Option<double?> _queueTimeout = NumberOption.Create("--queue-timeout", "Longest wait of a request for its first token in seconds; 0 for no limit. Default: 600.", 0d, 1e7);
    private readonly Option<double?> _grace = NumberOption.Create("--shutdown-grace", "How long requests may go on when the server stops, in seconds. Default: 60.", 0d, 1e7);
    private readonly Option<string> _images = new("--image-policy") { Description = "What to do with images, audio and files in user messages: reject, placeholder.", DefaultValueFactory = _ => "reject" };
    private readonly Option<string> _anthropicThinking = new("--anthropic-thinking-default") { Description = "Whether models think when an Anthropic request does not say: on, off.", DefaultValueFactory = _ => "off" };
    private readonly Option<ulong?> _seed = NumberOption.Create("--random-seed", "Seed of the seeds of requests that bring none. Default: a new one at each start.", 0UL, ulong.MaxValue).Also("--seed");
    private readonly Option<int?> _rate = NumberOption.Create("--key-requests-per-minute", "Most requests a minute of each key; beyond it 429. Default: no limit.", 1, 1_000_000);
    private readonly Option<string?> _template = new("--chat-template") { Description = "File with a chat template in place of the model's own.", HelpName = "path" };
    private readonly Option<string?> _templateValues = new("--default-chat-template-kwargs") { Description = "JSON object of variables for the template where a request does not set them.", HelpName = "json" };
    private readonly Option<string> _weightVersion = new("--weight-version") { Description = "Name of the weights in /get_model_info and answers of /generate.", DefaultValueFactory = _ => "default", HelpName = "name" };
    private readonly Option<bool> _noWarmup = new("--skip-server-warmup") { Description = "Report ready without generating a token first." };
    private readonly EngineArguments _engine;
    private readonly LogArguments _log;

    public ServeCommand(Terminal terminal)
        : base("serve", "Serve a model behind the OpenAI, Anthropic, Gemini and native APIs.")
    {
        _terminal = terminal;
        _thinking.AcceptOnlyFromAmong("on", "off", "model");
        _preserve.AcceptOnlyFromAmong("on", "off");
        _sampling.AcceptOnlyFromAmong("model", "openai");
        _images.AcceptOnlyFromAmong("reject", "placeholder");
        _anthropicThinking.AcceptOnlyFromAmong("on", "off");
        Add(_path);
        _model = new ModelOptions().AddTo(this);
        Options.First(option => option.Name == "--model").Aliases.Add("--model-path");
        _engine = new EngineArguments().AddTo(this);
        _log = new LogArguments().AddTo(this);
        foreach (Option option in (ReadOnlySpan<Option>)[_config, _host, _port, _names, _aliases, _anyModel, _keys, _keyFile, _adminKey, _usage, _prices, _metricsKey, _metricsPort, _certificate, _certificateKey, _weightRoots, _strict,
            _thinking, _preserve, _sampling, _thinkingTokens, _origins, _bytes, _requestTimeout, _queueTimeout, _grace, _images, _anthropicThinking, _seed,
            _rate, _template, _templateValues, _weightVersion, _noWarmup])
            Add(option);
        UpstreamOptions.AddTo(this);
        Validators.Add(result =>
        {
            if (result.GetValue(_path) is { } path && path.StartsWith("--", StringComparison.Ordinal))
            {
                string[] names = [.. Options.SelectMany(option => option.Aliases.Prepend(option.Name)).Where(name => name.StartsWith("--", StringComparison.Ordinal))];
                result.AddError($"There is no option {path}.{LayeredOptions.Nearest(path, names)}");
            }

            if (result.GetValue(_path) is not null && _model.IsGiven(result))
                result.AddError("The model is given twice: by its path and by --model.");
        });
        SetAction((parsed, _) => ExecuteAsync(LayeredOptions.Complete(this, parsed, parsed.GetValue(_config), Environment.GetEnvironmentVariable)));
    }

    private async Task<int> ExecuteAsync(ParseResult parsed)
    {
        string path = parsed.GetValue(_path) ?? _model.Path(parsed);
        ServerOptions options = OptionsOf(parsed, path);
        EngineOptions engineOptions = _engine.Of(parsed);
        if (engineOptions.Adapters.Keys.FirstOrDefault(name => options.ModelNames.Contains(name)) is { } taken)
            throw new UsageException($"--lora {taken}: the model itself has this name. Choose another, or another --served-model-name.");
        string? template = parsed.GetValue(_template) is { } file ? File.ReadAllText(file) : null;
        long start = Stopwatch.GetTimestamp();
        await using GlimmerServer server = await GlimmerServer.StartAsync(options, _log.Logging(parsed), _terminal.Interrupted);
        using LoadedModel model = _model.Open(parsed, _terminal, path);
        using var engine = new Engine(model, engineOptions);
        if (!parsed.GetValue(_noWarmup))
            await WarmUpAsync(engine);
        var served = new ServedModel(model, engine) { Template = template is null ? model.Template : new ChatTemplate(template) };
        served.Control!.Version = parsed.GetValue(_weightVersion)!;
        server.Use(served);
        EngineStatistics statistics = engine.Statistics;
        _terminal.Output.WriteLine(
            $"ready {server.Address.ToString().TrimEnd('/')} model={options.ModelNames[0]} ctx={engine.ContextLength} kv_tokens={statistics.MaxBlocks * 64} max_running={_engine.MaxRunning(parsed)} load={Stopwatch.GetElapsedTime(start).TotalSeconds:0.00}s");
        await server.WaitAsync(_terminal.Interrupted);
        return ExitCodes.Success;
    }

    // The first pass reads weights from the disk and compiles the code of every layer.
    private async Task WarmUpAsync(Engine engine)
    {
        var request = new GenerationRequest { Prompt = new[] { 0 }, MaxTokens = 2, Sampling = new SamplingOptions { Temperature = 0 } };
        await foreach (EngineToken _ in engine.Submit(request, _terminal.Interrupted).ReadAllAsync(_terminal.Interrupted))
        {
        }

        await engine.FlushCacheAsync();
    }

    private ServerOptions OptionsOf(ParseResult parsed, string path)
    {
        string[] names = parsed.GetValue(_names) is { Length: > 0 } given ? given : [Path.GetFileNameWithoutExtension(Path.TrimEndingDirectorySeparator(path))];
        var aliases = new Dictionary<string, string>();
        foreach (string alias in parsed.GetValue(_aliases) ?? [])
        {
            string[] parts = alias.Split('=', 2);
            if (parts.Length != 2 || parts[0].Length == 0 || !names.Contains(parts[1]))
                throw new UsageException($"--model-alias {alias}: expected FROM=TO with TO one of {string.Join(", ", names)}.");
            aliases[parts[0]] = parts[1];
        }

        string[] keys = [.. parsed.GetValue(_keys) ?? [], .. parsed.GetValue(_keyFile) is { } file ? File.ReadLines(file).Select(line => line.Trim()).Where(line => line.Length > 0) : []];
        try
        {
            var options = new ServerOptions
            {
                ModelNames = names,
                ModelAliases = aliases,
                AcceptAnyModel = parsed.GetValue(_anyModel),
                ApiKeys = keys,
                AdminApiKey = parsed.GetValue(_adminKey),
                UsageDatabase = parsed.GetValue(_usage),
                Prices = parsed.GetValue(_prices) is { } prices ? PriceTable.Parse(File.ReadAllText(prices)) : PriceTable.Free,
                MetricsNeedKey = parsed.GetValue(_metricsKey),
                MetricsPort = parsed.GetValue(_metricsPort),
                CertificateFile = parsed.GetValue(_certificate),
                CertificateKeyFile = parsed.GetValue(_certificateKey),
                WeightRoots = parsed.GetValue(_weightRoots) ?? [],
                Host = parsed.GetValue(_host)!,
                Port = parsed.GetValue(_port),
                AllowedOrigins = parsed.GetValue(_origins) ?? [],
                MaxRequestBytes = parsed.GetValue(_bytes) ?? 64L << 20,
                ShutdownGrace = TimeSpan.FromSeconds(parsed.GetValue(_grace) ?? 60),
                Images = parsed.GetValue(_images) == "placeholder" ? ImagePolicy.Placeholder : ImagePolicy.Reject,
                AnthropicThinking = parsed.GetValue(_anthropicThinking) == "on",
                RequestsPerMinute = parsed.GetValue(_rate),
                RequestLogging = _log.Requests(parsed),
                OtlpEndpoint = _log.Collector(parsed, Environment.GetEnvironmentVariable),
                Turns = new TurnDefaults
                {
                    Thinking = parsed.GetValue(_thinking) switch { "on" => true, "off" => false, _ => null },
                    PreserveThinkingWithTools = parsed.GetValue(_preserve) == "on",
                    Sampling = parsed.GetValue(_sampling) == "openai" ? SamplingDefaults.OpenAi : SamplingDefaults.Model,
                    StrictMaxTokens = parsed.GetValue(_strict),
                    MaxThinkingTokens = parsed.GetValue(_thinkingTokens),
                    RequestTimeout = parsed.GetValue(_requestTimeout) is { } longest ? TimeSpan.FromSeconds(longest) : null,
                    QueueTimeout = parsed.GetValue(_queueTimeout) switch { null => TimeSpan.FromSeconds(600), 0 => null, { } wait => TimeSpan.FromSeconds(wait) },
                    RandomSeed = parsed.GetValue(_seed),
                    TemplateVariables = Variables(parsed.GetValue(_templateValues)),
                },
            };
            options.Check();
            return options;
        }
        catch (ArgumentException error)
        {
            throw new UsageException(error.Message);
        }
    }

    private static DataObject? Variables(string? json) => json is null ? null
        : DataValue.TryParse(json, out DataValue? value) && value is DataObject variables ? variables
        : throw new UsageException($"--default-chat-template-kwargs is '{json}'; expected a JSON object such as {{\"enable_thinking\": false}}.");
}
