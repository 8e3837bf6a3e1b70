using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using Glimmer.Inference;
using Glimmer.Server;
using Glimmer.Server.Turns;

namespace Glimmer.Benchmarks;

/// <summary>
/// <c>hostile [--count 100000] [--seed 1]</c>: mutated bodies over all APIs against the server with a scripted model. Exit 1 when one answers with a 500, hangs for 10 seconds, or memory grows by
/// more than 200 MB after the first tenth.
/// </summary>
internal static class HostileRequests
{
    private static readonly (string Path, string Body)[] s_seeds =
    [
        ("/v1/chat/completions", """{"model":"m","messages":[{"role":"system","content":"Be terse."},{"role":"user","content":[{"type":"text","text":"Hi"}]},{"role":"assistant","content":null,"reasoning_content":"x","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"c","content":"ok"}],"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{"a":{"type":"integer"}}}}}],"temperature":0.5,"top_p":0.9,"max_tokens":4,"stop":["x"],"logit_bias":{"5":1.5},"n":2,"seed":3,"logprobs":true,"top_logprobs":2,"stream":true,"stream_options":{"include_usage":true}}"""),
        ("/v1/chat/completions", """{"model":"m","messages":[{"role":"user","content":"Hi"}],"max_tokens":3,"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":{"type":"object","properties":{"c":{"type":"string","pattern":"^a+$"}},"required":["c"]}}}}"""),
        ("/v1/responses", """{"model":"m","instructions":"i","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"Hi"}]},{"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"t"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"ok"}],"tools":[{"type":"function","name":"f","parameters":{"type":"object"}},{"type":"namespace","name":"n","tools":[{"type":"function","name":"g"}]},{"type":"custom","name":"p"}],"tool_choice":"auto","max_output_tokens":4,"store":true,"stream":true,"include":["reasoning.encrypted_content"]}"""),
        ("/v1/messages", """{"model":"m","max_tokens":4,"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":[{"type":"text","text":"Hi","cache_control":{"type":"ephemeral"}}]},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"tool_use","id":"u","name":"f","input":{"a":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"u","content":[{"type":"text","text":"ok"}]}]}],"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"auto"},"thinking":{"type":"enabled","budget_tokens":5},"stop_sequences":["q"],"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":{"type":"thinking_turns","value":1}}]},"stream":true}"""),
        ("/v1/messages/count_tokens", """{"model":"m","messages":[{"role":"user","content":"Hi"}],"tools":[{"name":"f","input_schema":{"type":"object"}}]}"""),
        ("/v1beta/models/m:generateContent", """{"contents":[{"role":"user","parts":[{"text":"Hi"}]},{"role":"model","parts":[{"text":"t","thought":true},{"functionCall":{"id":"c","name":"f","args":{"a":1}}}]},{"role":"user","parts":[{"functionResponse":{"id":"c","name":"f","response":{"output":"ok"}}}]}],"systemInstruction":{"parts":[{"text":"s"}]},"tools":[{"functionDeclarations":[{"name":"f","parameters":{"type":"OBJECT","properties":{"a":{"type":"INTEGER","nullable":true}}}}]}],"toolConfig":{"functionCallingConfig":{"mode":"AUTO"}},"generationConfig":{"temperature":0.5,"topK":3,"maxOutputTokens":4,"stopSequences":["x"],"candidateCount":2,"thinkingConfig":{"includeThoughts":true,"thinkingBudget":5},"responseMimeType":"application/json","responseSchema":{"type":"OBJECT"}}}"""),
        ("/generate", """{"text":["Hi","Ho"],"sampling_params":[{"max_new_tokens":3,"temperature":0.5,"regex":"(a|b)+"},{"max_new_tokens":2,"n":2}],"rid":["r1","r2"],"return_logprob":true,"logprob_start_len":0,"top_logprobs_num":2,"token_ids_logprob":[1,2],"stream":true}"""),
        ("/v1/chat/completions", """{"model":"m","messages":[{"role":"user","content":"Hi"}],"max_tokens":3,"response_format":{"type":"structural_tag","format":{"type":"triggered_tags","triggers":["<f="],"tags":[{"begin":"<f=a>","content":{"type":"sequence","elements":[{"type":"any_text"},{"type":"repeat","min":1,"max":3,"content":{"type":"regex","pattern":"[0-9]+"}}]},"end":"</f>"}],"at_least_one":true}}}"""),
        ("/v1/completions", """{"model":"m","prompt":["Hi",[1,2,3]],"max_tokens":3,"logprobs":2,"echo":true,"n":2,"stream":true}"""),
        ("/tokenize", """{"prompt":"Hi","add_special_tokens":true}"""),
        ("/detokenize", """{"tokens":[5,6,7]}"""),
    ];

    private static readonly string[] s_values = ["null", "true", "-1", "0", "1e400", "99999999999999999999", "\"\"", "\"\\ud800\"", "[]", "{}", "[[[[[[[]]]]]]]", "\"<|user|></think><tool_call>\"", "NaN", "0.1", "\"\\u0000\""];

    public static int Run(string[] args)
    {
        int count = int.Parse(GemmBenchmark.Option(args, "--count", "100000"), CultureInfo.InvariantCulture);
        int seed = int.Parse(GemmBenchmark.Option(args, "--seed", "1"), CultureInfo.InvariantCulture);
        return RunAsync(count, seed).GetAwaiter().GetResult();
    }

    private static async Task<int> RunAsync(int count, int seed)
    {
        using LoadedModel model = LoadedModel.Open(EmbeddedModel.Find(), 1);
        int[] text = model.Tokenizer.Encode("The answer is a plain one.");
        var source = new ScriptedTokens(2048, (_, _) => new ScriptedAnswer(text));
        await using GlimmerServer server = await GlimmerServer.StartAsync(new ServerOptions { Port = 0, ModelNames = ["m"], MaxRequestBytes = 1 << 20 });
        server.Use(new ServedModel(model.Tokenizer, model.Template, source) { StopTokens = model.StopTokens });
        using var http = new HttpClient { BaseAddress = server.Address, Timeout = TimeSpan.FromSeconds(10) };
        var statuses = new SortedDictionary<int, int>();
        int bad = 0, next = 0;
        long early = 0;
        var gate = new Lock();
        var watch = Stopwatch.StartNew();
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            for (int i = Interlocked.Increment(ref next) - 1; i < count; i = Interlocked.Increment(ref next) - 1)
            {
                if (i == count / 10)
                    early = Environment.WorkingSet;
                (string path, byte[] body) = Mutated(new Random(HashCode.Combine(seed, i)));
                int status;
                try
                {
                    using var content = new ByteArrayContent(body);
                    content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
                    using HttpResponseMessage response = await http.PostAsync(path, content);
                    await response.Content.ReadAsByteArrayAsync();
                    status = (int)response.StatusCode;
                }
                catch (TaskCanceledException)
                {
                    status = -1;
                }
                catch (HttpRequestException)
                {
                    status = -2;
                }

                lock (gate)
                {
                    statuses[status] = statuses.GetValueOrDefault(status) + 1;
                    if (status is < 0 or 500 && bad++ < 10)
                        Console.Error.WriteLine($"{status} seed {seed} number {i} {path} {Encoding.UTF8.GetString(body)[..Math.Min(body.Length, 1500)]}");
                }
            }
        })));
        GC.Collect();
        long growth = (Environment.WorkingSet - early) >> 20;
        string counts = string.Join(',', statuses.Select(pair => $"\"{pair.Key}\":{pair.Value}"));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $$"""{"bench":"hostile","count":{{count}},"seed":{{seed}},"seconds":{{watch.Elapsed.TotalSeconds:F0}},"statuses":{{{counts}}},"bad":{{bad}},"growth_mb":{{growth}}}"""));
        return bad == 0 && growth < 200 ? 0 : 1;
    }

    // One to four changes: a value replaced, a key renamed, bytes cut, doubled or flipped.
    private static (string Path, byte[] Body) Mutated(Random random)
    {
        (string path, string seed) = s_seeds[random.Next(s_seeds.Length)];
        string body = seed;
        for (int change = random.Next(4); change >= 0; change--)
        {
            int at = random.Next(Math.Max(1, body.Length));
            switch (random.Next(6))
            {
                case 0:
                    int colon = body.IndexOf(':', at);
                    if (colon > 0)
                    {
                        int end = body.IndexOfAny([',', '}', ']'], colon);
                        if (end > colon)
                            body = body[..(colon + 1)] + s_values[random.Next(s_values.Length)] + body[end..];
                    }

                    break;
                case 1:
                    body = body[..at];
                    break;
                case 2:
                    body = body[..at] + body[random.Next(body.Length + 1)..];
                    break;
                case 3:
                    body = body[..at] + (char)random.Next(32, 127) + body[Math.Min(body.Length, at + 1)..];
                    break;
                case 4:
                    int quote = body.IndexOf('"', at);
                    if (quote >= 0)
                        body = body[..(quote + 1)] + s_values[random.Next(s_values.Length)].Trim('"') + body[(quote + 1)..];
                    break;
                default:
                    int open = body.IndexOf('[', at);
                    if (open >= 0)
                        body = body[..(open + 1)] + string.Concat(Enumerable.Repeat(s_values[random.Next(s_values.Length)] + ",", random.Next(1, 40))) + body[(open + 1)..];
                    break;
            }
        }

        return (path, Encoding.UTF8.GetBytes(body));
    }
}
