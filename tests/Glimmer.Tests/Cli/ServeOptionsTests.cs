using System.CommandLine;
using System.Text.Json;
using Glimmer.Cli;
using Glimmer.Inference;
using Glimmer.Kernels;

namespace Glimmer.Tests.Cli;

/// <summary>The options of <c>glimmer serve</c>, among them the spellings of vLLM and SGLang.</summary>
public class ServeOptionsTests
{
    public static TheoryData<string, string> Recorded()
    {
        var data = new TheoryData<string, string>();
        if (Fixtures.Folder("wire") is not { } folder)
        {
            data.Add("", "");
            return data;
        }

        foreach (JsonElement flag in JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "flags.json"))).RootElement.GetProperty("flags").EnumerateArray())
        {
            if (!flag.GetProperty("in_spec_11_1").GetBoolean())
                continue;
            foreach (JsonElement name in flag.GetProperty("flags").EnumerateArray().Concat(flag.GetProperty("hidden_flags").EnumerateArray()))
                data.Add(flag.GetProperty("engine").GetString()!, name.GetString()!);
        }

        return data;
    }

    [SkippableTheory]
    [MemberData(nameof(Recorded))]
    public void Every_recorded_spelling_is_known(string engine, string name)
    {
        Fixtures.SkipIfAbsent(engine);
        var command = NewCommand();
        bool isKnown = name is "-h" or "--help" || command.Options.Any(option => option.Name == name || option.Aliases.Contains(name));
        Assert.True(isKnown, $"{name} of {engine} is no option of serve");
    }

    [Theory]
    [InlineData("--tp-size", "2", "--tp-size 2: expected 1; this server computes on the processors of one machine")]
    [InlineData("--dtype", "bfloat16", "--dtype bfloat16: expected auto or float32 or float")]
    [InlineData("--mem-fraction-static", "0.8", "--max-total-tokens")]
    [InlineData("--enable-memory-saver", null, "not supported")]
    [InlineData("--tensor-paralel-size", "1", "There is no option --tensor-paralel-size. Did you mean '--tensor-parallel-size'?")]
    [InlineData("--max-model-len", "many", "--context-length is 'many'")]
    [InlineData("--speculative-algorithm", "MEDUSA", "expected EAGLE, NEXTN or MTP")]
    [InlineData("--kv-cache-dtype", "fp8_e4m3", "expected auto, float32, bf16 or int8")]
    [InlineData("--log-level", "loud", "expected debug, info")]
    [InlineData("--otlp-endpoint", "collector", "--otlp-endpoint is 'collector'")]
    [InlineData("--default-chat-template-kwargs", "[]", "expected a JSON object")]
    public void A_value_that_cannot_be_honoured_is_refused_with_what_to_do(string name, string? value, string message)
    {
        CommandRun run = CommandRun.Of(["serve", name, .. value is null ? [] : (string[])[value]]);
        Assert.Equal(ExitCodes.Usage, run.ExitCode);
        Assert.Contains(message, run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--tp", "1")]
    [InlineData("--enable-metrics", null)]
    [InlineData("--enable-auto-tool-choice", null)]
    [InlineData("--tool-call-parser", "glm47")]
    [InlineData("--schedule-policy", "fcfs")]
    public void A_value_that_holds_anyway_is_accepted(string name, string? value) => Assert.Empty(Parse([name, .. value is null ? [] : (string[])[value]]).Errors);

    [Fact]
    public void Both_spellings_set_the_engine_up()
    {
        EngineOptions vllm = Of("--max-model-len 8K --max-num-seqs 4 --max-num-batched-tokens 2k --disable-prefix-caching --kv-cache-dtype bfloat16 --speculative-config {\"method\":\"ngram\",\"num_speculative_tokens\":5}");
        EngineOptions sglang = Of("--context-length 8192 --max-running-requests 4 --chunked-prefill-size 2000 --disable-radix-cache --kv-cache-dtype bf16 --speculative-algorithm NGRAM --speculative-num-steps 5 --speculative-num-draft-tokens 6");
        Assert.Equal(vllm with { Adapters = sglang.Adapters }, sglang);
        Assert.Equal((8192, 4, 2000, false, KeyValueType.BF16, DraftSource.PromptLookup, 5),
            (vllm.ContextLength, vllm.MaxRunning, vllm.PrefillTokens, vllm.ReusePrefixes, vllm.CacheType, vllm.Drafts, vllm.MaxDrafts));
        Assert.Equal(new EngineOptions() with { Adapters = sglang.Adapters }, Of("--max-model-len auto --max-num-batched-tokens auto") with { Adapters = sglang.Adapters });
        Assert.Throws<UsageException>(() => Of("--speculative-num-steps 3 --speculative-num-draft-tokens 8"));
        Assert.Throws<UsageException>(() => Of("--speculative-config {\"method\":\"mtp\",\"draft_model\":\"x\"}"));
    }

    [Theory]
    [InlineData("8192", 8192)]
    [InlineData("8k", 8000)]
    [InlineData("8K", 8192)]
    [InlineData("1.5k", 1500)]
    public void Counts_have_units(string text, long expected)
    {
        Assert.True(CountOption.TryParse(text, out long count));
        Assert.Equal(expected, count);
    }

    private static EngineOptions Of(string line)
    {
        var command = new Command("serve");
        EngineArguments arguments = new EngineArguments().AddTo(command);
        return arguments.Of(command.Parse(line.Split(' ')));
    }

    private static ServeCommand NewCommand() => new(new Terminal { Output = TextWriter.Null, Error = TextWriter.Null, OpenInput = () => TextReader.Null });

    private static ParseResult Parse(string[] args) => NewCommand().Parse(args);
}
