using Glimmer.Inference;
using Glimmer.Samples;

namespace Glimmer.Tests.Inference;

/// <summary>The samples that the pages show do what the pages say.</summary>
public sealed class SampleTests
{
    [Fact]
    public async Task Samples_answer()
    {
        using LoadedModel model = LoadedModel.Open(EmbeddedModel.Find(), threads: 2);
        var text = new StringWriter();
        await EngineSample.RunAsync(model, text);
        Assert.Contains("Paris", text.ToString(), StringComparison.Ordinal);

        using var engine = new Engine(model, new EngineOptions { ContextLength = 512 });
        var answers = new StringWriter();
        await GenerationRequestSample.RunAsync(model, engine, answers);
        Assert.Contains("answer 0: '", answers.ToString(), StringComparison.Ordinal);
        Assert.Contains("answer 1: '", answers.ToString(), StringComparison.Ordinal);

        var json = new StringWriter();
        await ChatClientSample.RunAsync(model, engine, json);
        Assert.Matches("""^\{\s*"city"\s*:\s*"[^"]*Paris[^"]*"\s*\} \(\d+ tokens, stop\)""", json.ToString());
    }
}
