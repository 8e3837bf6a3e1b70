using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Data.Synthesis;
using Glimmer.Data.Synthesis.Nano;
using Glimmer.Environments.Evaluation;
using Glimmer.Environments.Tasks;

namespace Glimmer.Tests.Data.Synthesis;

public class NanoCorpusTests
{
    private static readonly string[] s_passages =
    [
        "The ship left the harbor at dawn, and nobody waved. The captain looked back once. Then he went below! It was cold, wet and dark in his cabin.",
        "She walked to the market, bought bread and came home. Her brother asked, who had seen the fair? Nobody answered him. The evening was long.",
    ];

    private static readonly NanoCorpus s_corpus = new(5, new NanoSources(s_passages, [new TrainingRecord("gsm8k", 1, CorpusSplit.Train, [new RecordMessage("user", "q"), new RecordMessage("assistant", "a")])]));

    [Theory]
    [InlineData(NanoFamily.Tools)]
    [InlineData(NanoFamily.Arithmetic)]
    [InlineData(NanoFamily.Instructions)]
    public void Records_are_functions_of_seed_and_index(NanoFamily family)
    {
        var same = new NanoCorpus(5, new NanoSources(s_passages, []));
        for (int i = 0; i < 50; i++)
            Assert.Equal(s_corpus.Record(family, i).ToJson(), same.Record(family, i).ToJson());
        Assert.NotEqual(s_corpus.Record(family, 0).ToJson(), new NanoCorpus(6, new NanoSources(s_passages, [])).Record(family, 0).ToJson());
    }

    [Fact]
    public void Functions_have_different_names_and_only_sound_definitions()
    {
        Assert.True(NanoCorpus.FunctionCount > 250, $"{NanoCorpus.FunctionCount}");
        Assert.Equal(NanoCorpus.FunctionCount, FunctionLibrary.All.Select(function => function.Key).Distinct().Count());
        Assert.All(FunctionLibrary.All, function =>
        {
            int required = function.Parameters.Count(parameter => !parameter.IsOptional);
            for (int i = 1; i <= required; i++)
                Assert.All(function.Questions, question => Assert.Contains($"{{{i}}}", question, StringComparison.Ordinal));
            Assert.All(function.Questions, question => Assert.Contains(question[^1], ".?"));
            Assert.All(function.Names, name => Assert.Matches("^[A-Za-z][A-Za-z0-9_.]*$", name));
        });
    }

    [Fact]
    public void Functions_of_the_test_are_offered_in_no_training_record()
    {
        HashSet<string> held = [.. s_corpus.ToolEvaluation(300).Select(row => Name(row.Row))];
        Assert.True(held.Count > 40, $"{held.Count}");
        for (int i = 0; i < 4000; i++)
        {
            TrainingRecord record = s_corpus.Record(NanoFamily.Tools, i);
            foreach (string tool in record.Tools)
            {
                using JsonDocument json = JsonDocument.Parse(tool);
                Assert.DoesNotContain(json.RootElement.GetProperty("function").GetProperty("name").GetString()!, held);
            }
        }

        static string Name(string row)
        {
            using JsonDocument json = JsonDocument.Parse(row);
            return json.RootElement.GetProperty("function")[0].GetProperty("name").GetString()!;
        }
    }

    [Fact]
    public void Calls_name_an_offered_function_and_values_that_the_question_says()
    {
        int calls = 0;
        for (int i = 0; i < 2000; i++)
        {
            TrainingRecord record = s_corpus.Record(NanoFamily.Tools, i);
            string question = record.Messages.First(message => message.Role == "user").Content;
            Assert.DoesNotContain("{1}", question, StringComparison.Ordinal);
            foreach (RecordMessage message in record.Messages.Where(message => message.Role == "tool_call"))
            {
                calls++;
                using JsonDocument call = JsonDocument.Parse(message.Content);
                JsonElement function = record.Tools.Select(tool => JsonDocument.Parse(tool).RootElement.GetProperty("function")).First(f => f.GetProperty("name").GetString() == call.RootElement.GetProperty("name").GetString());
                JsonElement properties = function.GetProperty("parameters").GetProperty("properties");
                foreach (JsonElement required in function.GetProperty("parameters").GetProperty("required").EnumerateArray())
                    Assert.True(call.RootElement.GetProperty("arguments").TryGetProperty(required.GetString()!, out _));
                foreach (JsonProperty argument in call.RootElement.GetProperty("arguments").EnumerateObject())
                {
                    string type = properties.GetProperty(argument.Name).GetProperty("type").GetString()!;
                    JsonValueKind expected = type switch { "integer" or "number" => JsonValueKind.Number, "boolean" => JsonValueKind.True, "array" => JsonValueKind.Array, _ => JsonValueKind.String };
                    Assert.Equal(expected, argument.Value.ValueKind);
                    if (expected == JsonValueKind.String)
                        Assert.Contains(argument.Value.GetString()!, question, StringComparison.Ordinal);
                    else if (expected == JsonValueKind.Number)
                        Assert.Contains(argument.Value.GetRawText() is [.. var whole, '.', '0'] ? whole : argument.Value.GetRawText(), question, StringComparison.Ordinal);
                }
            }
        }

        Assert.True(calls > 1400, $"{calls}");
    }

    [Fact]
    public void The_grader_of_the_leaderboard_takes_the_expected_calls()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder["possible_answer"]);
        IReadOnlyList<(string Row, string Answer)> rows = s_corpus.ToolEvaluation(200);
        File.WriteAllLines(folder["BFCL_simple_generated.jsonl"], rows.Select(row => row.Row));
        File.WriteAllLines(folder["possible_answer/BFCL_simple_generated.jsonl"], rows.Select(row => row.Answer));
        BfclTask task = BfclTask.Open(folder["BFCL_simple_generated.jsonl"]);
        Assert.Equal(200, task.Samples.Count);
        for (int i = 0; i < rows.Count; i++)
        {
            using JsonDocument answer = JsonDocument.Parse(rows[i].Answer);
            JsonProperty call = answer.RootElement.GetProperty("ground_truth")[0].EnumerateObject().First();
            var arguments = new DataObject();
            foreach (JsonProperty argument in call.Value.EnumerateObject().Where(argument => argument.Value[0].ValueKind != JsonValueKind.String || argument.Value[0].GetString()!.Length > 0))
                arguments[argument.Name] = DataValue.From(argument.Value[0]);
            SampleGrade right = task.Grade(task.Samples[i], new ParsedMessage(null, null, [new ToolCall { Name = call.Name, Arguments = arguments }]), knowsTools: true);
            Assert.True(right.Tallies[0].Hits == 1, right.Explanation);
            SampleGrade wrong = task.Grade(task.Samples[i], new ParsedMessage(null, null, [new ToolCall { Name = call.Name + "x", Arguments = arguments }]), knowsTools: true);
            Assert.Equal(0, wrong.Tallies[0].Hits);
        }
    }

    [Fact]
    public void Two_digit_problems_of_the_test_are_trained_in_neither_order()
    {
        IReadOnlyList<SyntheticQuestion> questions = s_corpus.ArithmeticEvaluation("two-digit", 200);
        Assert.Equal(200, questions.Count);
        HashSet<ulong> asked = [.. questions.Select(question => question.Key)];
        for (int i = 0; i < 5000; i++)
            Assert.DoesNotContain(s_corpus.Record(NanoFamily.Arithmetic, i).Key, asked);
        Assert.Equal(200, s_corpus.ArithmeticEvaluation("one-digit", 200).Count);
        Assert.Equal(200, s_corpus.ArithmeticEvaluation("word-problems", 200).Count);

    }

    [Fact]
    public void Every_worked_answer_ends_the_thought()
    {
        for (int i = 0; i < 3000; i++)
        {
            TrainingRecord record = s_corpus.Record(NanoFamily.Arithmetic, i);
            RecordMessage answer = record.Messages[^1];
            if (answer.ReasoningContent is null)
                continue;
            string number = answer.Content.Replace("The answer is ", "", StringComparison.Ordinal).TrimEnd('.');
            Assert.EndsWith($" {number}", answer.ReasoningContent.TrimEnd('.'), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Rewritten_texts_and_changed_answers_obey_their_instructions()
    {
        var kinds = new HashSet<string>();
        for (int i = 0; i < 1000; i++)
        {
            IReadOnlyList<CheckableInstruction> instructions = NanoInstructions.For(5, i);
            TrainingRecord? record = NanoInstructions.Record("Say something.", instructions, s_passages[i % 2]);
            if (record is null)
                continue;
            Assert.All(instructions, instruction => Assert.True(instruction.Holds(record.Messages[1].Content), $"{instruction.Text}: {record.Messages[1].Content}"));
            Assert.All(instructions, instruction => Assert.Contains(instruction.Text, record.Messages[0].Content, StringComparison.Ordinal));
            kinds.UnionWith(instructions.Select(instruction => instruction.Kind));
        }

        Assert.Equal(17, kinds.Count);
        Assert.Null(NanoInstructions.Record("Say something.", NanoInstructions.For(5, 0), " "));
        Assert.All(Enumerable.Range(0, 200), i => Assert.Equal(2, s_corpus.Record(NanoFamily.Instructions, i).Messages.Count));
    }

    [Fact]
    public void Prompts_are_many_and_all_different()
    {
        Assert.True(s_corpus.Prompts.All.Count > 2000, $"{s_corpus.Prompts.All.Count}");
        Assert.Equal(s_corpus.Prompts.All.Count, s_corpus.Prompts.All.Distinct().Count());
        Assert.Contains(s_corpus.Prompts.All, prompt => prompt.Contains(s_passages[0], StringComparison.Ordinal));
        Assert.All(s_corpus.Prompts.All, prompt => Assert.DoesNotContain("<t>", prompt, StringComparison.Ordinal));
    }

    [Fact]
    public void Passages_leave_out_the_beginning_of_a_book()
    {
        string book = string.Join("\n\n", Enumerable.Range(0, 100).Select(i => $"Paragraph {i}. " + string.Concat(Enumerable.Repeat("word ", 40))));
        IReadOnlyList<string> passages = NanoPrompts.Passages(book, 2000);
        Assert.NotEmpty(passages);
        Assert.All(passages, passage => Assert.InRange(passage.Length, 350, 1400));
        Assert.DoesNotContain(passages, passage => passage.Contains("Paragraph 5.", StringComparison.Ordinal));
    }

    [Fact]
    public void Families_without_a_model_refuse_what_they_do_not_have()
    {
        Assert.Contains("need the answers of a model", Assert.Throws<ArgumentException>(() => s_corpus.Record(NanoFamily.OwnAnswers, 0)).Message, StringComparison.Ordinal);
        Assert.Contains("training records only", Assert.Throws<ArgumentException>(() => s_corpus.Record(NanoFamily.Gsm8k, 0, CorpusSplit.Test)).Message, StringComparison.Ordinal);
        Assert.Contains("line 2", Assert.Throws<FormatException>(() => FunctionLibrary.Parse("fn a\np x integer : A number. : a; b\n")).Message, StringComparison.Ordinal);
        Assert.Equal(1.0, NanoCorpus.Shares.Sum(share => share.Share), 12);
    }
}
