using Glimmer.Chat;
using Glimmer.Cli;
using Glimmer.Cli.Nano;
using Glimmer.Data.Synthesis;
using Glimmer.Environments.Evaluation;
using Glimmer.Inference;
using Glimmer.Tests.Training.Upcycling;
using Glimmer.Training.Batching;

namespace Glimmer.Tests.Cli.Nano;

public sealed class NanoTests
{
    [Theory]
    [InlineData("Paris.", false, true)]
    [InlineData("2 + 2 = 4</think>4", true, true)]
    [InlineData("2 + 2 = 4", true, false)]
    [InlineData("4</think>4", false, false)]
    [InlineData("<tool_call>f<arg_key>a</arg_key><arg_value>1 < 2</arg_value></tool_call>", false, true)]
    [InlineData("<tool_call>f</tool_call><tool_call>g</tool_call>", false, true)]
    [InlineData("<tool_call>f<arg_key>a</arg_key><arg_value>1</arg_value>", false, false)]
    [InlineData("<tool_call>f<arg_key>a</arg_key></tool_call>", false, false)]
    [InlineData("text</arg_value>", false, false)]
    [InlineData("<|user|>", false, false)]
    public void Form_of_an_answer_is_checked_against_what_the_prompt_opened(string output, bool thinking, bool expected) =>
        Assert.Equal(expected, NanoEvaluation.IsWellFormed(output, thinking));

    [Theory]
    [InlineData("3 + 4 = 7.", "7", 1)]
    [InlineData("The answer is 1,234", "1234", 1)]
    [InlineData("-5", "5", 0)]
    [InlineData("7.5", "7", 0)]
    [InlineData("", "7", 0)]
    public void Question_is_right_when_the_last_number_is_its_answer(string content, string answer, int hits)
    {
        var task = new QuestionTask("sums", [new SyntheticQuestion("sums", 1, "?", answer)]);
        var parser = new ChatTemplate("{{ messages[0].content }}").CreateParser("", []);
        parser.Append(content);
        parser.Complete();
        Assert.Equal(hits, task.Grade(task.Samples[0], parser.Message, knowsTools: true).Tallies[0].Hits);
    }

    [Fact]
    public void Budget_adds_up_and_measures_everything_in_a_whole_run()
    {
        var whole = new NanoBudget(NanoBudget.WholeMinutes);
        Assert.InRange((0.01 * whole.Minutes) + whole.Before + whole.Answers + whole.Training + whole.After, 0.9 * whole.Minutes, whole.Minutes);
        Assert.Equal(400, whole.Samples(400));
        Assert.Equal(40, new NanoBudget(10).Samples(400));
        Assert.Equal(8, new NanoBudget(1).Samples(400));
        Assert.Equal(5, new NanoBudget(1).Samples(5));
    }

    [Fact]
    public void Stage_that_is_done_does_not_run_again()
    {
        using var folder = new TemporaryFolder();
        var stages = new NanoStages(folder.ToString(), TimeProvider.System);
        Assert.Throws<IOException>(() => stages.Run("one", () => throw new IOException("broken")));
        Assert.Equal(3, stages.Run("one", () => new() { ["x"] = 3, ["y"] = double.NaN })["x"]);
        IReadOnlyDictionary<string, double> again = new NanoStages(folder.ToString(), TimeProvider.System).Run("one", () => throw new InvalidOperationException("ran again"));
        Assert.Equal(3, again["x"]);
        Assert.Equal(double.NaN, again["y"]);
        File.WriteAllText(folder["one.json"], "{");
        Assert.Contains("one.json", Assert.Throws<ModelFormatException>(() => stages.Find("one")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Batches_go_on_where_their_state_says()
    {
        TrainingDocument[] documents = [.. Enumerable.Range(0, 5).Select(i => TrainingDocument.NextToken([.. Enumerable.Repeat(i, 10 + i)]))];
        var all = new DocumentBatches(documents, 20);
        all.Next(30);
        string state = all.State;
        IReadOnlyList<MicroBatch> expected = all.Next(30)!;
        IReadOnlyList<MicroBatch> actual = new DocumentBatches(documents, 20) { State = state }.Next(30)!;
        Assert.Equal(expected.Select(micro => micro.TokenCount), actual.Select(micro => micro.TokenCount));
        Assert.Equal(3, actual[0].Rows[0][0].Tokens[0]);
    }

    [Fact]
    public async Task Answers_that_are_there_are_kept_and_a_torn_line_is_dropped()
    {
        using var folder = new TemporaryFolder();
        using LoadedModel model = LoadedModel.Open(TinyTrunk.Upcycle(folder), 1);
        string path = folder["answers.jsonl"];
        string[] prompts = ["a", "b", "c"];
        IReadOnlyList<NanoAnswers.Answer> whole = await NanoAnswers.RunAsync(model, prompts, path, 5, double.PositiveInfinity, false, default);
        Assert.Equal([0, 1, 2], whole.Select(answer => answer.Prompt));
        string[] lines = File.ReadAllLines(path);
        File.WriteAllText(path, lines[0] + "\n" + lines[1][..10]);
        Assert.Equal(whole, await NanoAnswers.RunAsync(model, prompts, path, 5, double.PositiveInfinity, false, default));
        File.WriteAllText(path, "{}\n");
        Assert.Contains("Line 1", Assert.Throws<ModelFormatException>(() => NanoAnswers.Read(path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Commands_name_what_is_wrong()
    {
        using var folder = new TemporaryFolder();
        CommandRun incomplete = CommandRun.Of("nano", "--out", folder["run"], "--data", folder.ToString());
        Assert.Equal(ExitCodes.Usage, incomplete.ExitCode);
        Assert.Contains("gsm8k_train.jsonl", incomplete.Error, StringComparison.Ordinal);
        Assert.Equal(ExitCodes.Usage, CommandRun.Of("nano", "--out", folder["run"], "--minutes", "0").ExitCode);
        Directory.CreateDirectory(folder["run"]);
        File.WriteAllText(folder["run/settings.yaml"], "minutes: 20\nseed: 1\n");
        CommandRun other = CommandRun.Of("nano", "--out", folder["run"], "--data", Path.Combine(Fixtures.Repository, "recipes", "nano", "data"), "--minutes", "10", "--compare-only");
        Assert.Equal(ExitCodes.Usage, other.ExitCode);
        Assert.Contains("holds a run with other settings: ", other.Error, StringComparison.Ordinal);
        Assert.Contains("minutes 20 -> 10", other.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(folder["run/data"]));
        File.WriteAllText(folder["config.json"], "{}");
        CommandRun taken = CommandRun.Of("upcycle", "--out", folder.ToString());
        Assert.Equal(ExitCodes.Usage, taken.ExitCode);
        Assert.Contains("holds a model already", taken.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Base_names_the_trunk()
    {
        CommandRun run = CommandRun.Of("score", "--model", "base", "--text", "Hello there.", "--json").Succeeded();
        Assert.Equal(EmbeddedModel.FileName, run.Json.GetProperty("model").GetString());
    }
}
