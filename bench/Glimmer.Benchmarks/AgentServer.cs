using System.Text;
using System.Text.Json;
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
internal static class AgentServer
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
        var source = new ScriptedTokens(int.Parse(options.GetValueOrDefault("context", "131072")), (request, _) => script.Answer(request));
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
            Console.WriteLine(log.Take());
        app.StopAsync().GetAwaiter().GetResult();
        return 0;
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
            using var stream = new MemoryStream();
            using (var json = new Utf8JsonWriter(stream))
            {
                json.WriteStartObject();
                json.WriteString("path", context.Request.Path + context.Request.QueryString);
                json.WriteNumber("status", context.Response.StatusCode);
                json.WritePropertyName("body");
                json.WriteRawValue(body.Length == 0 ? "null"u8.ToArray() : body);
                json.WriteEndObject();
            }

            return Encoding.UTF8.GetString(stream.ToArray()) + "\n";
        }
    }
}
