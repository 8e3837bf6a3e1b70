using System.Globalization;
using System.Text;
using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Tokenization;

namespace Glimmer.Cli.Nano;

/// <summary>Greedy answers of a model to many prompts at once, kept as JSON lines: an interrupted run goes on with the prompts that are left.</summary>
internal static class NanoAnswers
{
    private const int Together = 32;

    // Answers that are still being written this long after the time are given up.
    private const double Overtime = 0.25;

    /// <summary>An answer.</summary>
    /// <param name="Prompt">Number of the prompt.</param>
    /// <param name="Text">What the model said, control tokens that are not special included.</param>
    /// <param name="IsComplete">Whether it ended by itself.</param>
    public sealed record Answer(int Prompt, string Text, bool IsComplete);

    /// <summary>Answers prompts.</summary>
    /// <param name="model">The model, asked in chat form.</param>
    /// <param name="prompts">The prompts; their place is their number.</param>
    /// <param name="path">File of the answers.</param>
    /// <param name="maxTokens">Most tokens of one.</param>
    /// <param name="seconds">Prompts that were not begun by then stay unanswered; a quarter of it later unfinished answers are dropped.</param>
    /// <param name="thinking">The thinking switch.</param>
    /// <param name="stop">Interrupts; finished answers stay.</param>
    public static async Task<IReadOnlyList<Answer>> RunAsync(
        LoadedModel model, IReadOnlyList<string> prompts, string path, int maxTokens, double seconds, bool? thinking, CancellationToken stop)
    {
        SortedDictionary<int, Answer> answers = ReadAll(path);
        TimeProvider time = TimeProvider.System;
        long start = time.GetTimestamp();
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        await using var file = new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.Read);
        using var engine = new Engine(model, new EngineOptions { MaxRunning = Together, MixedPrefillTokens = 256 });
        var gate = new Lock();
        int next = -1;
        using var end = CancellationTokenSource.CreateLinkedTokenSource(stop);
        if (double.IsFinite(seconds))
            end.CancelAfter(TimeSpan.FromSeconds(seconds * (1 + Overtime)));
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = Together, CancellationToken = end.Token };
        Task all = Parallel.ForEachAsync(Enumerable.Range(0, Together), parallel, async (_, token) =>
        {
            while (time.GetElapsedTime(start).TotalSeconds < seconds && Interlocked.Increment(ref next) is var prompt && prompt < prompts.Count)
            {
                lock (gate)
                {
                    if (answers.ContainsKey(prompt))
                        continue;
                }

                Answer answer = await OneAsync(model, engine, prompts[prompt], prompt, maxTokens, thinking, token).ConfigureAwait(false);
                lock (gate)
                {
                    answers[prompt] = answer;
                    file.Write(Line(answer));
                    file.Flush();
                }
            }
        });
        try
        {
            await all.ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            // The time is over.
        }

        return [.. answers.Values.Where(answer => answer.Prompt < prompts.Count)];
    }

    private static async Task<Answer> OneAsync(LoadedModel model, Engine engine, string prompt, int number, int maxTokens, bool? thinking, CancellationToken stop)
    {
        int[] tokens = model.EncodeChat([ChatMessage.User(prompt)], new ChatTemplateOptions { EnableThinking = thinking }, out _);
        var request = new GenerationRequest { Prompt = tokens, MaxTokens = maxTokens, StopTokens = model.StopTokens, Sampling = new SamplingOptions { Temperature = 0 } };
        var detokenizer = new Detokenizer(model.Tokenizer, skipSpecial: true);
        var text = new StringBuilder();
        bool isComplete = false;
        await foreach (EngineToken token in engine.Submit(request, stop).ReadAllAsync(stop).ConfigureAwait(false))
        {
            isComplete = token.Finish == FinishReason.Stop;
            if (!isComplete)
                text.Append(detokenizer.Append(token.Token));
        }

        return new Answer(number, text.Append(detokenizer.Flush()).ToString(), isComplete);
    }

    /// <summary>The answers of a file, by the number of their prompts; none where there is no file.</summary>
    public static IReadOnlyList<Answer> Read(string path) => [.. ReadAll(path).Values];

    private static SortedDictionary<int, Answer> ReadAll(string path)
    {
        var answers = new SortedDictionary<int, Answer>();
        if (!File.Exists(path))
            return answers;
        string text = File.ReadAllText(path);
        int end = text.LastIndexOf('\n') + 1; // what follows was being written when the run was interrupted
        if (end < text.Length)
        {
            using FileStream cut = File.OpenWrite(path);
            cut.SetLength(Encoding.UTF8.GetByteCount(text.AsSpan(0, end)));
        }

        int number = 0;
        foreach (string line in text[..end].Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            number++;
            try
            {
                using JsonDocument json = JsonDocument.Parse(line);
                var answer = new Answer(json.RootElement.GetProperty("prompt").GetInt32(), json.RootElement.GetProperty("answer").GetString()!, json.RootElement.GetProperty("complete").GetBoolean());
                answers[answer.Prompt] = answer;
            }
            catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
            {
                throw new ModelFormatException(string.Create(CultureInfo.InvariantCulture, $"Line {number} of '{path}' is no answer: {e.Message} Delete the file to answer all prompts again."), e);
            }
        }

        return answers;
    }

    private static byte[] Line(Answer answer)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteNumber("prompt", answer.Prompt);
            json.WriteString("answer", answer.Text);
            json.WriteBoolean("complete", answer.IsComplete);
            json.WriteEndObject();
        }

        stream.WriteByte((byte)'\n');
        return stream.ToArray();
    }
}
