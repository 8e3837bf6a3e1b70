using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Server;
using Glimmer.Server.Turns;
using Glimmer.Tokenization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;

namespace Glimmer.Benchmarks.Agents;

/// <summary><c>agent-server</c>: our server for runs of real coding agents, with a scripted model, the embedded one, or a tiny random one. Counts and, when asked, records what clients send.</summary>
internal static class AgentServer
{
    /// <summary>Runs until its input ends; each line of the input is answered with the counts since the last one, as the members of a JSON object.</summary>
    /// <param name="args">
    /// <c>[--mode scripted|embedded|random] [--tokenizer FOLDER --template FILE] [--model NAME] [--port N] [--file NAME] [--content TEXT] [--context N] [--record FILE]</c>; the scripted and the random
    /// model need a vocabulary and a template.
    /// </param>
    public static int Run(string[] args)
    {
        string mode = GemmBenchmark.Option(args, "--mode", "scripted"), folder = GemmBenchmark.Option(args, "--tokenizer", ""), template = GemmBenchmark.Option(args, "--template", "");
        if (mode is not ("scripted" or "embedded" or "random") || (mode != "embedded" && (folder.Length == 0 || template.Length == 0)))
        {
            Console.Error.WriteLine("agent-server needs --mode scripted, embedded or random, and --tokenizer FOLDER and --template FILE for the first and the last.");
            return 2;
        }

        int context = int.Parse(GemmBenchmark.Option(args, "--context", mode == "embedded" ? "8192" : "131072"), System.Globalization.CultureInfo.InvariantCulture);
        var prefixes = new PrefixLog();
        using var requests = new AgentRequests(Path(args, "--record"));
        using AgentModel? loaded = mode == "scripted" ? null : mode == "embedded" ? AgentModel.Embedded(context) : AgentModel.Random(folder, template, context);
        ServedModel served = loaded?.Served ?? Scripted(folder, template, context, GemmBenchmark.Option(args, "--file", "hello.txt"), GemmBenchmark.Option(args, "--content", "hi"), prefixes, requests);
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls($"http://127.0.0.1:{GemmBenchmark.Option(args, "--port", "0")}");
        builder.Services.AddGlimmer(new ServerOptions { ModelNames = [GemmBenchmark.Option(args, "--model", "glm-4.7")], AcceptAnyModel = true, Turns = loaded?.Defaults ?? new TurnDefaults() });
        WebApplication app = builder.Build();
        app.Use(requests.InvokeAsync);
        app.MapGlimmer();
        app.UseModel(served);
        app.StartAsync().GetAwaiter().GetResult();
        Console.WriteLine($"ready {app.Urls.First()}");
        while (Console.ReadLine() is not null)
            Console.WriteLine(requests.Take() + (mode == "scripted" ? "," + prefixes.Take() : ""));
        app.StopAsync().GetAwaiter().GetResult();
        return 0;
    }

    private static string? Path(string[] args, string name) => GemmBenchmark.Option(args, name, "") is { Length: > 0 } path ? path : null;

    private static ServedModel Scripted(string folder, string template, int context, string file, string content, PrefixLog prefixes, AgentRequests requests)
    {
        Tokenizer tokenizer = Tokenizer.Load(folder);
        var script = new AgentScript(tokenizer, file, content);
        var source = new ScriptedTokens(context, (request, _) =>
        {
            ScriptedAnswer answer = script.Answer(request);
            prefixes.Add(request.Prompt.Span, answer.Tokens);
            requests.Answered(tokenizer.Decode([.. answer.Tokens], false));
            return answer;
        });
        string[] stops = ["<|endoftext|>", "<|user|>", "<|observation|>"];
        return new ServedModel(tokenizer, new ChatTemplate(File.ReadAllText(template)), source)
        {
            StopTokens = [.. stops.Select(tokenizer.TokenToId).Where(id => id is not null).Select(id => id!.Value)],
        };
    }
}
