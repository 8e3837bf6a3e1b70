using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Tokenization;
using Glimmer.Training.Sft;

namespace Glimmer.Tests.Training.Sft;

/// <summary>Text and targets of conversations as ms-swift has them.</summary>
[Trait("Category", "Golden")]
public class TargetSpanGoldenTests
{
    private static readonly Dictionary<string, string> s_templates = new()
    {
        ["glm4_5"] = "glm-4.5.jinja",
        ["glm4_7"] = "glm-4.7.jinja",
        ["glm5_1"] = "glm-5.1.jinja",
        ["glm5_2"] = "glm-5.2.jinja",
    };

    public static TheoryData<string> Cases => Fixtures.Rows(Fixtures.Folder("swift") is { } folder
        ? File.ReadLines(Path.Combine(folder, "targets.jsonl")).Select(line => JsonDocument.Parse(line).RootElement).Select(row => $"{row.GetProperty("template").GetString()} {row.GetProperty("case").GetString()}")
        : null);

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Text_and_targets_are_the_recorded_ones_where_the_official_template_agrees(string name)
    {
        Fixtures.SkipIfAbsent(name);
        string folder = Fixtures.Folder("swift")!;
        JsonElement row = File.ReadLines(Path.Combine(folder, "targets.jsonl")).Select(line => JsonDocument.Parse(line).RootElement)
            .Single(row => $"{row.GetProperty("template").GetString()} {row.GetProperty("case").GetString()}" == name);
        Tokenizer tokenizer = Tokenizer.Load(Path.Combine(folder, "model"));
        var template = new ChatTemplate(File.ReadAllText(Path.Combine(Fixtures.Folder("chat")!, "templates", s_templates[row.GetProperty("template").GetString()!])));
        JsonElement options = row.GetProperty("options");
        string scale = options.TryGetProperty("loss_scale", out JsonElement given) ? given.GetString()! : "default";
        bool addsPrefix = !options.TryGetProperty("add_non_thinking_prefix", out JsonElement prefix) || prefix.GetBoolean();
        var builder = new SftSampleBuilder(tokenizer, template, new SftSampleOptions { LossScale = LossScale.Parse(scale), AddNonThinkingPrefix = addsPrefix, ControlTokensInText = true });
        SftSample sample = builder.Build(SftRecordParser.Parse(row.GetProperty("record"), new RecordPlace("targets.jsonl", 1)));
        string text = tokenizer.Decode(sample.Tokens);
        if (!row.GetProperty("official_text_agrees").GetBoolean())
        {
            // Their text differs from the template's. Ours is the template's, with a terminator; joined turns and absent prefixes are in no official text.
            if (name.EndsWith("two_assistants", StringComparison.Ordinal))
                Assert.EndsWith("4It is 6.<|user|>", text, StringComparison.Ordinal);
            else if (!addsPrefix)
                Assert.EndsWith(name.StartsWith("glm4_5", StringComparison.Ordinal) ? "<|assistant|>\n4<|user|>" : "<|assistant|>4<|user|>", text, StringComparison.Ordinal);
            else
                Assert.Equal(row.GetProperty("official_text").GetString() + "<|user|>", text);

            // As many targets as theirs, but for a turn whose thinking the template drops.
            Assert.Equal(row.GetProperty("targets").GetArrayLength(), Spans(sample).Count + sample.TurnsWithoutTheirThinking);
            return;
        }

        Assert.Equal(row.GetProperty("input_ids").EnumerateArray().Select(id => id.GetInt32()), sample.Tokens);
        Assert.Equal(row.GetProperty("text").GetString(), text);
        Assert.Equal(row.GetProperty("targets").EnumerateArray().Select(span => (span.GetProperty("from").GetInt32(), span.GetProperty("to").GetInt32())), Spans(sample));
    }

    private static List<(int From, int To)> Spans(SftSample sample)
    {
        var spans = new List<(int From, int To)>();
        for (int i = 0; i < sample.Tokens.Length; i++)
        {
            if (sample.Weights[i] == 0)
                continue;
            Assert.Equal(1, sample.Weights[i]);
            if (spans.Count > 0 && spans[^1].To == i)
                spans[^1] = (spans[^1].From, i + 1);
            else
                spans.Add((i, i + 1));
        }

        return spans;
    }
}
