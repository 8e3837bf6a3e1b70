using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using Glimmer.Inference;
using Glimmer.Server;
using Glimmer.Server.Turns;

namespace Glimmer.Benchmarks;

/// <summary>
/// <c>load [--seconds 180] [--clients 64] [--kills 100] [--tokens 64]</c>: streaming clients on the embedded model over loopback, client processes that are killed (SIGKILL) in the middle of a
/// stream, and the server's own cost of a token with a scripted model. One JSON line each; exit 1 when a request fails, memory grows, or pages stay referenced.
/// </summary>
internal static class ServerLoad
{
    public static int Run(string[] args)
    {
        if (GemmBenchmark.Option(args, "--victim", "") is { Length: > 0 } address)
            return VictimAsync(new Uri(address), GemmBenchmark.Number(args, "--tokens", "64")).GetAwaiter().GetResult();
        int seconds = GemmBenchmark.Number(args, "--seconds", "180"), clients = GemmBenchmark.Number(args, "--clients", "64"), kills = GemmBenchmark.Number(args, "--kills", "100"), tokens = GemmBenchmark.Number(args, "--tokens", "64");
        bool isGood = OverheadAsync().GetAwaiter().GetResult();
        return isGood & LoadAsync(seconds, clients, kills, tokens).GetAwaiter().GetResult() ? 0 : 1;
    }

    private static async Task<bool> LoadAsync(int seconds, int clients, int kills, int tokens)
    {
        using LoadedModel model = LoadedModel.Open(EmbeddedModel.FindDefault(), Environment.ProcessorCount);
        using var engine = new Engine(model, new EngineOptions { MaxRunning = clients, CacheTokens = 256 * clients });
        await using GlimmerServer server = await GlimmerServer.StartAsync(new ServerOptions { Port = 0, ModelNames = ["m"] });
        server.Use(new ServedModel(model, engine));
        var stop = Stopwatch.StartNew();
        var gaps = new List<double>();
        int done = 0, failed = 0;
        long early = 0;
        var limit = TimeSpan.FromSeconds(seconds);
        Task[] work = [.. Enumerable.Range(0, clients).Select(client => Task.Run(async () =>
        {
            using var http = new HttpClient { BaseAddress = server.Address, Timeout = TimeSpan.FromMinutes(10) };
            for (int turn = 0; stop.Elapsed < limit; turn++)
            {
                try
                {
                    List<double> own = await StreamAsync(http, $"Tell me fact number {turn} about the number {client}.", tokens);
                    lock (gaps)
                        gaps.AddRange(own);
                    Interlocked.Increment(ref done);
                }
                catch (Exception error) when (error is HttpRequestException or IOException or InvalidDataException)
                {
                    Console.Error.WriteLine(error.Message);
                    Interlocked.Increment(ref failed);
                }
            }
        }))];
        await Task.Delay(limit * 0.75);
        early = Environment.WorkingSet;
        await Task.WhenAll(work);
        long late = Environment.WorkingSet;
        double tokensPerSecond = engine.Statistics.GeneratedTokens / stop.Elapsed.TotalSeconds;
        gaps.Sort();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $$"""{"bench":"load","clients":{{clients}},"seconds":{{seconds}},"requests":{{done}},"failed":{{failed}},"tok_per_s":{{tokensPerSecond:F1}},"gap_ms_p50":{{At(gaps, 0.5):F1}},"gap_ms_p99":{{At(gaps, 0.99):F1}},"memory_mb_early":{{early >> 20}},"memory_mb_late":{{late >> 20}}}"""));

        for (int i = 0; i < kills; i++)
            await KillAsync(server.Address, i, tokens * 4);
        for (int i = 0; i < 100 && engine.Statistics.Running + engine.Statistics.Waiting > 0; i++)
            await Task.Delay(50);
        EngineStatistics after = engine.Statistics;
        await engine.FlushCacheAsync();
        int left = engine.Statistics.BlocksInUse;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $$"""{"bench":"kill","clients":{{kills}},"running":{{after.Running}},"waiting":{{after.Waiting}},"blocks_in_use":{{after.BlocksInUse}},"of_these_prefixes":{{after.PrefixBlocks}},"blocks_after_flush":{{left}}}"""));
        return failed == 0 && late < early + (300L << 20) && after.Running == 0 && left == 0;
    }

    // Gaps between the events of a stream in milliseconds.
    private static async Task<List<double>> StreamAsync(HttpClient http, string prompt, int tokens)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1/chat/completions") { Content = new StringContent(Body(prompt, tokens), Encoding.UTF8, new MediaTypeHeaderValue("application/json")) };
        using HttpResponseMessage response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        response.EnsureSuccessStatusCode();
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        var gaps = new List<double>();
        long last = 0;
        bool isDone = false;
        while (await reader.ReadLineAsync() is { } line)
        {
            isDone |= line == "data: [DONE]";
            if (line.Contains("\"error\"", StringComparison.Ordinal))
                throw new InvalidDataException(line);
            if (!line.Contains("\"content\":\"", StringComparison.Ordinal) || line.Contains("\"role\"", StringComparison.Ordinal))
                continue;
            long now = Stopwatch.GetTimestamp();
            if (last != 0)
                gaps.Add(Stopwatch.GetElapsedTime(last, now).TotalMilliseconds);
            last = now;
        }

        return isDone ? gaps : throw new InvalidDataException("The stream ended without its last event.");
    }

    private static string Body(string prompt, int tokens) =>
        $$"""{"model":"m","stream":true,"max_tokens":{{tokens}},"messages":[{"role":"user","content":"{{prompt}}"}]}""";

    // A process of its own that is killed while its answer comes, after 1 to 5 pieces of it.
    private static async Task KillAsync(Uri address, int number, int tokens)
    {
        string[] own = Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) != "dotnet" ? [path] : ["dotnet", Path.Combine(AppContext.BaseDirectory, "Glimmer.Benchmarks.dll")];
        var start = new ProcessStartInfo(own[0]) { RedirectStandardOutput = true };
        foreach (string argument in (string[])[.. own[1..], "load", "--victim", address.ToString(), "--tokens", tokens.ToString(CultureInfo.InvariantCulture)])
            start.ArgumentList.Add(argument);
        using Process victim = Process.Start(start)!;
        for (int piece = 0; piece <= number % 5; piece++)
            await victim.StandardOutput.ReadLineAsync();
        victim.Kill();
        await victim.WaitForExitAsync();
    }

    // Streams until it is killed; a line for each piece that came.
    private static async Task<int> VictimAsync(Uri address, int tokens)
    {
        using var http = new HttpClient { BaseAddress = address };
        using var request = new HttpRequestMessage(HttpMethod.Post, "v1/chat/completions") { Content = new StringContent(Body("Count to 1000.", tokens), Encoding.UTF8, new MediaTypeHeaderValue("application/json")) };
        using HttpResponseMessage response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync());
        while (await reader.ReadLineAsync() is { } line)
        {
            if (line.Length > 0)
                Console.WriteLine("piece");
        }

        return 0;
    }

    // What HTTP, JSON, detokenizer and parser cost a token when the model costs nothing.
    private static async Task<bool> OverheadAsync()
    {
        const int Tokens = 4000;
        using LoadedModel model = LoadedModel.Open(EmbeddedModel.Find(), 1);
        int[] text = model.Tokenizer.Encode(string.Concat(Enumerable.Repeat("The quick brown fox jumps over the lazy dog while the sun is shining. ", 400)));
        var source = new ScriptedTokens(1 << 20, (_, _) => new ScriptedAnswer(text));
        await using GlimmerServer server = await GlimmerServer.StartAsync(new ServerOptions { Port = 0, ModelNames = ["m"] });
        server.Use(new ServedModel(model.Tokenizer, model.Template, source) { StopTokens = model.StopTokens });
        bool isGood = true;
        foreach (int streams in new[] { 1, 64 })
        {
            double best = double.MaxValue;
            for (int round = 0; round < 4; round++)
            {
                int each = streams == 1 ? Tokens : Tokens / 8;
                using var http = new HttpClient { BaseAddress = server.Address };
                var watch = Stopwatch.StartNew();
                await Task.WhenAll(Enumerable.Range(0, streams).Select(_ => Task.Run(() => StreamAsync(http, "Go.", each))));
                best = Math.Min(best, watch.Elapsed.TotalMicroseconds / ((double)each * streams));
            }

            isGood &= streams > 1 || best <= 30;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $$"""{"bench":"overhead","streams":{{streams}},"us_per_token":{{best:F1}},"bar":30,"note":"the measuring client included"}"""));
        }

        return isGood;
    }

    private static double At(List<double> sorted, double share) => sorted.Count == 0 ? 0 : sorted[(int)Math.Min(sorted.Count - 1, sorted.Count * share)];
}
