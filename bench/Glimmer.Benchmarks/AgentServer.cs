using System.Text;
using System.Text.RegularExpressions;
using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Server;
using Glimmer.Server.Turns;
using Glimmer.Tokenization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace Glimmer.Benchmarks;

/// <summary><c>agent-server</c>: our server with a scripted model, for runs of real coding agents. Counts and, when asked, records what clients send.</summary>
internal static partial class AgentServer
{
    /// <summary>Runs until its input ends.</summary>
    /// <param name="args"><c>--tokenizer FOLDER --template FILE --model NAME [--port N] [--file NAME] [--content TEXT] [--context N] [--record FILE]</c>.</param>
    public static int Run(string[] args)
    {
        Dictionary<string, string> options = [];
        for (int i = 0; i + 1 < args.Length; i += 2)
            options[args[i].TrimStart('-')] = args[i + 1];
        if (!options.TryGetValue("tokenizer", out string? folder) || !options.TryGetValue("template", out string? template))
        {
            Console.Error.WriteLine("agent-server needs --tokenizer FOLDER and --template FILE.");
            return 2;
        }

        Tokenizer tokenizer = Tokenizer.Load(folder);
        var script = new AgentScript(tokenizer, options.GetValueOrDefault("file", "hello.txt"), options.GetValueOrDefault("content", "hi"));
        var prefixes = new PrefixLog();
        var source = new ScriptedTokens(int.Parse(options.GetValueOrDefault("context", "131072")), (request, _) =>
        {
            ScriptedAnswer answer = script.Answer(request);
            prefixes.Add(request.Prompt.Span, answer.Tokens);
            return answer;
        });
        string[] stops = ["<|endoftext|>", "<|user|>", "<|observation|>"];
        var served = new ServedModel(tokenizer, new ChatTemplate(File.ReadAllText(template)), source)
        {
            StopTokens = [.. stops.Select(tokenizer.TokenToId).Where(id => id is not null).Select(id => id!.Value)],
        };
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls($"http://127.0.0.1:{options.GetValueOrDefault("port", "0")}");
        builder.Services.AddGlimmer(new ServerOptions { ModelNames = [options.GetValueOrDefault("model", "glm-4.7")], AcceptAnyModel = true });
        WebApplication app = builder.Build();
        var log = new RequestLog(options.GetValueOrDefault("record"));
        app.Use(log.InvokeAsync);
        app.MapGlimmer();
        app.UseModel(served);
        app.StartAsync().GetAwaiter().GetResult();
        Console.WriteLine($"ready {app.Urls.First()}");
        // Each line of the input asks for the counts since the last one.
        while (Console.ReadLine() is not null)
            Console.WriteLine($"{log.Take()} {prefixes.Take()}");
        app.StopAsync().GetAwaiter().GetResult();
        return 0;
    }

    /// <summary>How much of a turn's prompt and answer the next turn's prompt begins with: what a prefix cache can reuse.</summary>
    private sealed class PrefixLog
    {
        private readonly Lock _lock = new();
        private readonly List<int[]> _turns = [];
        private int _followUps;
        private int _lost;

        public void Add(ReadOnlySpan<int> prompt, IReadOnlyList<int> answer)
        {
            lock (_lock)
            {
                int[] best = [];
                int common = 0;
                foreach (int[] turn in _turns)
                {
                    int shared = prompt.CommonPrefixLength(turn);
                    if (shared > common)
                        (best, common) = (turn, shared);
                }

                // A conversation goes on when most of an earlier turn comes again.
                if (best.Length > 0 && common > best.Length / 2)
                {
                    _followUps++;
                    _lost = Math.Max(_lost, best.Length - common);
                }

                _turns.Add([.. prompt, .. answer]);
            }
        }

        /// <summary>Turns that continue an earlier one, and the most tokens of an earlier turn that one of them did not begin with.</summary>
        public string Take()
        {
            lock (_lock)
                return $"{_followUps} {_lost}";
        }
    }

    private sealed class RequestLog(string? record)
    {
        private readonly Lock _lock = new();
        private int _requests;
        private int _errors;

        public async Task InvokeAsync(HttpContext context, RequestDelegate next)
        {
            context.Request.EnableBuffering();
            using var copy = new MemoryStream();
            if (record is not null)
            {
                await context.Request.Body.CopyToAsync(copy);
                context.Request.Body.Position = 0;
            }

            await next(context);
            lock (_lock)
            {
                _requests++;
                bool isError = context.Response.StatusCode >= 400;
                _errors += isError ? 1 : 0;
                if (isError)
                    Console.Error.WriteLine($"{context.Response.StatusCode} {context.Request.Method} {context.Request.Path}");
                if (record is not null && context.Request.Method == "POST")
                    File.AppendAllText(record, Line(context, copy.ToArray()));
            }
        }

        public string Take()
        {
            lock (_lock)
            {
                string line = $"{_requests} {_errors}";
                (_requests, _errors) = (0, 0);
                return line;
            }
        }

        private static string Line(HttpContext context, byte[] body)
        {
            var line = new DataObject { { "path", context.Request.Path + context.Request.QueryString }, { "status", context.Response.StatusCode } };
            if (DataValue.TryParse(Encoding.UTF8.GetString(body), out DataValue? value))
                line["body"] = Clean(value);
            return line.ToJson() + "\n";
        }

        // Long texts become filler of their length, the same for the same text, at most 400 characters; folders and keys become words.
        private static DataValue Clean(DataValue value)
        {
            switch (value)
            {
                case { AsString: { } text }:
                    string plain = AbsolutePath().Replace(text, "/folder");
                    return plain.Length <= 64 ? plain : Filler(plain);
                case DataArray list:
                    return new DataArray(list.Select(Clean));
                case DataObject map:
                    var cleaned = new DataObject();
                    foreach ((string key, DataValue item) in map)
                        cleaned[key] = Clean(item);
                    return cleaned;
                default:
                    return value;
            }
        }

        private static string Filler(string text)
        {
            // Arguments that the model wrote are part of the next prompt.
            if (DataValue.TryParse(text, out _))
                return text;
            uint hash = 2166136261;
            foreach (char c in text)
                hash = (hash ^ c) * 16777619;
            string word = $"words {hash:x8} ";
            int length = Math.Min(text.Length, 400);
            return string.Concat(Enumerable.Repeat(word, (length / word.Length) + 1))[..length].TrimEnd();
        }
    }

    [GeneratedRegex(@"(/[\w.@~-]+){2,}")]
    private static partial Regex AbsolutePath();
}
