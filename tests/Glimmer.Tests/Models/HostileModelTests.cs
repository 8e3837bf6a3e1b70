using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Formats;
using Glimmer.Inference;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Tests.Formats;
using Glimmer.Tokenization;
using Xunit.Abstractions;

namespace Glimmer.Tests.Models;

/// <summary>Recorded hostile configurations, models, tokenizers and templates: refused with a reason, or loaded, quickly in both cases.</summary>
[Trait("Category", "Golden")]
public class HostileModelTests(ITestOutputHelper output)
{
    public static TheoryData<string> ConfigCases => HostileCases.OfKinds("config");

    public static TheoryData<string> ModelCases => HostileCases.OfKinds("gguf_model");

    public static TheoryData<string> TokenizerCases => HostileCases.OfKinds("tokenizer");

    public static TheoryData<string> GgufTokenizerCases => HostileCases.OfKinds("gguf_tokenizer");

    public static TheoryData<string> TemplateCases => HostileCases.OfKinds("template");

    [SkippableTheory]
    [MemberData(nameof(ConfigCases))]
    public void Configurations_are_refused_or_read(string id) => Check(id, file => ModelConfig.Parse(File.ReadAllBytes(file), file));

    [SkippableTheory]
    [MemberData(nameof(ModelCases))]
    public void Models_are_refused_or_loaded(string id)
    {
        using var team = new ThreadTeam(1);
        Check(id, file =>
        {
            using Checkpoint checkpoint = Checkpoint.Open(file);
            checkpoint.LoadModel(team).Dispose();
        });
    }

    [SkippableTheory]
    [MemberData(nameof(TokenizerCases))]
    public void Tokenizers_are_refused_or_loaded(string id) => Check(id, file => Tokenizer.Load(file).Encode("Hello <|user|> world 123"));

    [SkippableTheory]
    [MemberData(nameof(GgufTokenizerCases))]
    public void Tokenizers_of_gguf_files_are_refused_or_loaded(string id) => Check(id, file =>
    {
        using GgufFile gguf = GgufFile.Open(file);
        TokenizerFiles.FromGguf(gguf).Encode("Hello <|user|> world 123");
    });

    [SkippableTheory]
    [MemberData(nameof(TemplateCases))]
    public void Templates_are_refused_or_rendered(string id)
    {
        Fixtures.SkipIfAbsent(id);
        ChatMessage[] messages = [.. HostileCases.Get(id).GetProperty("messages").EnumerateArray().Select(message => ChatMessage.FromJson(message))];
        // A template may make texts of the length that the limits allow, and throw them away again.
        Check(id, allowedBytes: 256 << 20, open: file =>
        {
            try
            {
                new ChatTemplate(File.ReadAllText(file)).Render(messages);
            }
            catch (JinjaException error)
            {
                throw new ModelFormatException(error.Message, error);
            }
        });
    }

    private void Check(string id, Action<string> open, long allowedBytes = 16 << 20)
    {
        Fixtures.SkipIfAbsent(id);
        output.WriteLine(HostileCases.Check(id, open, allowedBytes));
    }
}
