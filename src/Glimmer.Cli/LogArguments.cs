using System.CommandLine;
using Glimmer.Server.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Glimmer.Cli;

/// <summary>The options of <c>glimmer serve</c> that say what is logged and traced, and where to. Logs go to the error stream.</summary>
internal sealed class LogArguments
{
    private readonly Option<string> _level = new("--log-level") { Description = "Least level of what is logged: debug, info, warning, error, critical.", DefaultValueFactory = _ => "info" };
    private readonly Option<string> _format = new("--log-format") { Description = "Form of the log: text, json (one object a line).", DefaultValueFactory = _ => "text" };
    private readonly Option<bool> _requests = new("--log-requests") { Description = "Log a line a request." };
    private readonly Option<int?> _detail = NumberOption.Create("--log-requests-level", "0: ids, counts and times; 1: also sampling; 2: also the beginning of prompts and answers; 3: all of them. Default: 0.", 0, 3);
    private readonly Option<string?> _collector = new("--otlp-endpoint") { Description = "Send traces and metrics by OTLP, for example to http://127.0.0.1:4318. Default: OTEL_EXPORTER_OTLP_ENDPOINT.", HelpName = "url" };

    public LogArguments() => _format.AcceptOnlyFromAmong("text", "json");

    /// <summary>Adds the options to a command.</summary>
    public LogArguments AddTo(Command command)
    {
        foreach (Option option in (ReadOnlySpan<Option>)[_level, _format, _requests, _detail, _collector])
            command.Add(option);
        return this;
    }

    /// <summary>How much of each request is logged.</summary>
    public RequestLogging Requests(ParseResult parsed) =>
        !parsed.GetValue(_requests) ? RequestLogging.Off : RequestLogging.Metadata + (parsed.GetValue(_detail) ?? 0);

    /// <summary>The collector; null for none.</summary>
    /// <exception cref="UsageException">It is no address.</exception>
    public Uri? Collector(ParseResult parsed, Func<string, string?> variable)
    {
        string? text = parsed.GetValue(_collector) ?? variable("OTEL_EXPORTER_OTLP_ENDPOINT");
        if (string.IsNullOrWhiteSpace(text))
            return null;
        return Uri.TryCreate(text, UriKind.Absolute, out Uri? collector) && collector.Scheme is "http" or "https"
            ? collector
            : throw new UsageException($"--otlp-endpoint is '{text}'; expected an address such as http://127.0.0.1:4318.");
    }

    /// <summary>Sets the log up.</summary>
    /// <exception cref="UsageException">The level is unknown.</exception>
    public Action<ILoggingBuilder> Logging(ParseResult parsed)
    {
        string name = parsed.GetValue(_level)!;
        LogLevel level = name.ToLowerInvariant() switch
        {
            "debug" => LogLevel.Debug,
            "info" => LogLevel.Information,
            "warning" => LogLevel.Warning,
            "error" => LogLevel.Error,
            "critical" => LogLevel.Critical,
            _ => throw new UsageException($"--log-level is '{name}'; expected debug, info, warning, error or critical."),
        };
        bool isJson = parsed.GetValue(_format) == "json";
        return logging =>
        {
            logging.SetMinimumLevel(level);
            // The framework's own lines say nothing that ours do not, unless somebody looks for a fault.
            logging.AddFilter("Microsoft", level <= LogLevel.Debug ? LogLevel.Debug : LogLevel.Warning);
            logging.AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
            if (isJson)
                logging.AddJsonConsole(json => (json.TimestampFormat, json.UseUtcTimestamp) = ("yyyy-MM-ddTHH:mm:ss.fffZ", true));
            else
                logging.AddSimpleConsole(text => (text.SingleLine, text.TimestampFormat, text.ColorBehavior) = (true, "HH:mm:ss ", LoggerColorBehavior.Disabled));
        };
    }
}
