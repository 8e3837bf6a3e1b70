using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Tests.Chat;
using Glimmer.Tests.Models;
using Glimmer.Training.Upcycling;

namespace Glimmer.Tests.Training.Upcycling;

public sealed class UpcyclerTests
{
    public static TheoryData<string> TemplateRows =>
        Fixtures.Rows(RecordedCases.Names(Fixtures.Folder("chat"), row => row.TryGetProperty("template", out JsonElement template) && template.GetString() == "glm-4.7"));

    [Fact]
    public void Start_state_gives_the_logits_of_the_trunk_bit_for_bit()
    {
        using var folder = new TemporaryFolder();
        string addition = TinyTrunk.Upcycle(folder);
        using LoadedModel trunk = LoadedModel.Open(folder["trunk.gguf"], 1), upcycled = LoadedModel.Open(addition, 1);

        int[] tokens = trunk.Tokenizer.Encode("The capital of Peru is Lima.");
        Assert.Equal(tokens, upcycled.Tokenizer.Encode("The capital of Peru is Lima."));
        float[] expected = Logits(trunk.Model, tokens), actual = Logits(upcycled.Model, tokens);

        int vocabulary = trunk.Model.Config.VocabSize, all = upcycled.Model.Config.VocabSize;
        Assert.Equal(vocabulary + 35, all);
        for (int t = 0; t < tokens.Length; t++)
            EqualBits.AssertSame(expected[(t * vocabulary)..((t + 1) * vocabulary)], actual[(t * all)..((t * all) + vocabulary)], $"logits of token {t}");
    }

    [Fact]
    public void Upcycled_model_is_a_mixture_with_MTP_adapter_and_control_tokens()
    {
        using var folder = new TemporaryFolder();
        using LoadedModel model = LoadedModel.Open(TinyTrunk.Upcycle(folder), 1);

        Assert.Equal([false, true, true], model.Model.Config.SparseLayers);
        Assert.NotNull(model.Model.Adapter);
        Assert.Equal(2 * 7 * 4, model.Model.Adapter.Parameters.Count);
        Assert.Equal(135, model.Model.NextToken!.DraftCount);
        foreach (string token in (ReadOnlySpan<string>)["[gMASK]", "<sop>", "<|user|>", "<think>", "</tool_call>", "<|video|>"])
            Assert.Contains(model.Tokenizer.AddedTokens, added => added.Text == token);
        Assert.Equal(3, model.StopTokens.Count);
        Assert.Contains(model.Tokenizer.TokenToId("<|observation|>")!.Value, model.StopTokens);
        int[] prompt = model.EncodeChat([ChatMessage.User("<|user|>")], new ChatTemplateOptions { EnableThinking = false }, out string text);
        Assert.Equal("[gMASK]<sop><|user|><|user|><|assistant|></think>", text);
        Assert.Equal(1, prompt.Count(id => id == model.Tokenizer.TokenToId("<|user|>")));
        Assert.Equal(text, model.Tokenizer.Decode(prompt));
    }

    [Fact]
    public void Same_seed_gives_the_same_files()
    {
        using var folder = new TemporaryFolder();
        string first = TinyTrunk.Upcycle(folder), again = folder["again"];
        Upcycler.Write(folder["trunk.gguf"], again, TinyTrunk.Options);
        foreach (string file in Directory.GetFiles(first))
            Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(Path.Combine(again, Path.GetFileName(file))));
        Upcycler.Write(folder["trunk.gguf"], folder["other"], TinyTrunk.Options with { Seed = 2 });
        Assert.NotEqual(File.ReadAllBytes(Path.Combine(first, "model.safetensors")), File.ReadAllBytes(Path.Combine(folder["other"], "model.safetensors")));
    }

    [Fact]
    public async Task Drafts_of_the_MTP_layer_change_no_token()
    {
        using var folder = new TemporaryFolder();
        using LoadedModel model = LoadedModel.Open(TinyTrunk.Upcycle(folder), 2);
        int[] prompt = model.Tokenizer.Encode("What is 3 + 4?");
        Assert.Equal(await Generate(DraftSource.None), await Generate(DraftSource.NextTokenLayer));

        async Task<int[]> Generate(DraftSource drafts)
        {
            using var engine = new Engine(model, new EngineOptions { Drafts = drafts });
            Generation generation = engine.Submit(new GenerationRequest { Prompt = prompt, MaxTokens = 40, Sampling = new SamplingOptions { Temperature = 0 } });
            var tokens = new List<int>();
            await foreach (EngineToken token in generation.ReadAllAsync())
                tokens.Add(token.Token);
            if (drafts == DraftSource.NextTokenLayer)
                Assert.True(engine.Statistics.DraftedTokens > 0);
            return [.. tokens];
        }
    }

    [Fact]
    public void Other_trunk_is_refused_by_its_hash()
    {
        using var folder = new TemporaryFolder();
        string addition = TinyTrunk.Upcycle(folder);
        byte[] bytes = File.ReadAllBytes(folder["trunk.gguf"]);
        bytes[^1] ^= 1;
        File.WriteAllBytes(folder["trunk.gguf"], bytes);
        Assert.Contains("SHA-256", Assert.Throws<ModelFormatException>(() => Checkpoint.Open(addition)).Message, StringComparison.Ordinal);
        File.WriteAllBytes(folder["trunk.gguf"], bytes[..^1]);
        Assert.Contains($"{bytes.Length - 1}", Assert.Throws<ModelFormatException>(() => Checkpoint.Open(addition)).Message, StringComparison.Ordinal);
        File.Delete(folder["trunk.gguf"]);
        Assert.Contains("Copy the file there", Assert.Throws<ModelFormatException>(() => Checkpoint.Open(addition)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Sizes_that_do_not_fit_the_trunk_are_refused()
    {
        using var folder = new TemporaryFolder();
        string trunk = TinyTrunk.Write(folder);
        Assert.Contains("96", Assert.Throws<ArgumentException>(() => Upcycler.Write(trunk, folder["a"], TinyTrunk.Options with { ExpertWidth = 7 })).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => Upcycler.Write(trunk, folder["a"], TinyTrunk.Options with { ExpertsPerToken = 5 }));
        Assert.Throws<UnsupportedModelException>(() => Upcycler.Write(folder["hf"], folder["a"], TinyTrunk.Options));
    }

    [SkippableTheory]
    [MemberData(nameof(TemplateRows))]
    public void Template_renders_as_that_of_GLM_4_7(string name)
    {
        Fixtures.SkipIfAbsent(name);
        JsonElement row = RecordedCases.Row(Fixtures.Folder("chat")!, name);
        var template = new ChatTemplate(Upcycler.Template());
        var variables = (DataObject)DataValue.From(row.GetProperty("kwargs"));
        var options = new ChatTemplateOptions
        {
            Tools = [.. row.GetProperty("tools").EnumerateArray().Select(ToolDefinition.FromJson)],
            AddGenerationPrompt = variables.Find("add_generation_prompt")?.AsBoolean ?? false,
            EnableThinking = variables.Find("enable_thinking")?.AsBoolean,
            ClearThinking = variables.Find("clear_thinking")?.AsBoolean,
            Variables = variables,
        };
        RenderedText rendered = template.Render([.. row.GetProperty("messages").EnumerateArray().Select((message, i) => ChatMessage.FromJson(message, $"messages[{i}]"))], options);
        Assert.Equal(row.GetProperty("expected").GetString(), rendered.Text);
        Assert.Equal(MessageGrammar.Glm47, template.Grammar);
    }

    private static float[] Logits(CausalLm model, int[] tokens)
    {
        using var c = new Compute(1);
        c.Begin();
        var batch = new Batch();
        batch.AddDocument(tokens);
        return model.Logits(c, model.Forward(c, batch)).F32.ToArray();
    }
}
