using System.Diagnostics;
using System.Globalization;
using Glimmer.Inference;
using Glimmer.Operations;
using Microsoft.Extensions.AI;

namespace Glimmer.Benchmarks;

/// <summary>
/// <c>chats [--seconds 300] [--chats 8] [--model PATH] [--seed 1]</c>: conversations through <see cref="GlmChatClient"/> at once, a third of their answers cancelled at a random moment. The same
/// questions are asked again every half minute among them: their answers must not change by a character. One JSON line; exit 1 when an answer changed or failed, memory grew, or pages stay referenced.
/// </summary>
internal static class ChatSoak
{
    private static readonly string[] s_subjects = ["the sea", "bread", "Peru", "prime numbers", "a bicycle", "the moon", "tea", "a library", "rain", "chess"];
    private static readonly string[] s_questions = ["Tell me about {0}.", "Why do people like {0}?", "Write a short poem about {0}.", "Give me three facts about {0}.", "How would you explain {0} to a child?"];

    public static int Run(string[] args)
    {
        int seconds = GemmBenchmark.Number(args, "--seconds", "300"), chats = GemmBenchmark.Number(args, "--chats", "8"), seed = GemmBenchmark.Number(args, "--seed", "1");
        return RunAsync(GemmBenchmark.Option(args, "--model", EmbeddedModel.FindDefault()), TimeSpan.FromSeconds(seconds), chats, seed).GetAwaiter().GetResult() ? 0 : 1;
    }

    private static async Task<bool> RunAsync(string path, TimeSpan limit, int chats, int seed)
    {
        using LoadedModel model = LoadedModel.Open(path, Environment.ProcessorCount);
        using var engine = new Engine(model, new EngineOptions { MaxRunning = chats + 1, CacheTokens = 2048 * (chats + 1) });
        using var client = new GlmChatClient(model, engine);
        string[] expected = await AskAgainAsync(client);
        var watch = Stopwatch.StartNew();
        var counts = new Counts();
        Task[] work = [.. Enumerable.Range(0, chats).Select(chat => Task.Run(() => ChatAsync(client, new Random((seed * 1000) + chat), () => watch.Elapsed < limit, counts)))];
        int asked = 0, changed = 0;
        long early = 0, blockBytes;
        using (KeyValueCache probe = model.Model.NewCache())
            blockBytes = probe.BlockBytes;
        using var sampling = new Timer(_ => counts.MostBlocks = Math.Max(counts.MostBlocks, engine.Statistics.BlocksInUse), null, 0, 100);
        while (watch.Elapsed < limit)
        {
            await Task.Delay(TimeSpan.FromSeconds(Math.Min(30, limit.TotalSeconds / 10)));
            string[] again = await AskAgainAsync(client);
            asked += again.Length;
            changed += again.Where((answer, i) => answer != expected[i]).Count();
            if (early == 0 && watch.Elapsed > limit * 0.4)
                early = BesideBlocks();
        }

        await Task.WhenAll(work);
        long late = BesideBlocks();
        EngineStatistics after = engine.Statistics;
        for (int i = 0; i < 100 && after.Running + after.Waiting > 0; i++, after = engine.Statistics)
            await Task.Delay(50);
        bool isFlushed = await engine.FlushCacheAsync();
        int left = engine.Statistics.BlocksInUse;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $$"""
            {"bench":"chats","chats":{{chats}},"seconds":{{limit.TotalSeconds:F0}},"turns":{{counts.Turns}},"cancelled":{{counts.Cancelled}},"failed":{{counts.Failed}},"tok_per_s":{{after.GeneratedTokens / watch.Elapsed.TotalSeconds:F1}},"cached_share":{{(double)after.CachedTokens / after.PromptTokens:F2}},"asked_again":{{asked}},"changed":{{changed}},"memory_mb":{{Environment.WorkingSet >> 20}},"beside_blocks_mb_early":{{early >> 20}},"beside_blocks_mb_late":{{late >> 20}},"blocks_in_use":{{after.BlocksInUse}},"of_these_prefixes":{{after.PrefixBlocks}},"blocks_after_flush":{{left}}}
            """));
        return changed == 0 && counts.Failed == 0 && counts.Cancelled > 0 && late < early + (100L << 20) && after.Running == 0 && after.BlocksInUse == after.PrefixBlocks && isFlushed && left == 0;

        // The cache keeps the memory of every block it ever needed, and fills up as conversations go on.
        long BesideBlocks() => Environment.WorkingSet - (counts.MostBlocks * blockBytes);
    }

    // One greedy and one sampled answer, each of two turns.
    private static async Task<string[]> AskAgainAsync(GlmChatClient client)
    {
        var answers = new List<string>();
        foreach (float temperature in (float[])[0f, 0.8f])
        {
            var options = new ChatOptions { MaxOutputTokens = 40, Temperature = temperature, Seed = 7 };
            List<ChatMessage> messages = [new(ChatRole.User, "What is the capital of Peru?")];
            ChatResponse first = await client.GetResponseAsync(messages, options);
            messages.AddRange(first.Messages);
            messages.Add(new ChatMessage(ChatRole.User, "And what do people eat there?"));
            ChatResponse second = await client.GetResponseAsync(messages, options);
            answers.Add(first.Text + "\n" + second.Text);
        }

        return [.. answers];
    }

    private static async Task ChatAsync(GlmChatClient client, Random random, Func<bool> goOn, Counts counts)
    {
        List<ChatMessage> messages = [];
        while (goOn())
        {
            if (messages.Count > 6)
                messages.Clear();
            string question = string.Format(CultureInfo.InvariantCulture, s_questions[random.Next(s_questions.Length)], s_subjects[random.Next(s_subjects.Length)]);
            messages.Add(new ChatMessage(ChatRole.User, question));
            var options = new ChatOptions { MaxOutputTokens = random.Next(16, 128), Temperature = random.Next(2), Seed = random.Next() };
            using var cancel = new CancellationTokenSource();
            if (random.Next(3) == 0)
                cancel.CancelAfter(random.Next(1, 2000)); // In the queue, the prompt or the answer.
            try
            {
                ChatResponse response = await client.GetResponseAsync(messages, options, cancel.Token);
                messages.AddRange(response.Messages);
                Interlocked.Increment(ref counts.Turns);
            }
            catch (OperationCanceledException)
            {
                messages.RemoveAt(messages.Count - 1);
                Interlocked.Increment(ref counts.Cancelled);
            }
            catch (Exception error)
            {
                Console.Error.WriteLine(error.Message);
                messages.Clear();
                Interlocked.Increment(ref counts.Failed);
            }
        }
    }

    private sealed class Counts
    {
        public int MostBlocks;
        public int Turns;
        public int Cancelled;
        public int Failed;
    }
}
