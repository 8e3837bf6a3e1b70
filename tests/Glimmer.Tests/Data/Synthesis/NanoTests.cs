using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Glimmer.Data.Synthesis.Nano;
using Glimmer.Training.Sft;

namespace Glimmer.Tests.Data.Synthesis;

public class NanoTests
{
    [Fact]
    public void Every_record_is_one_that_fine_tuning_reads()
    {
        for (int i = 0; i < 500; i++)
        {
            foreach (NanoRecord record in (NanoRecord[])[NanoTools.Record(7, i), NanoArithmetic.Record(7, i), NanoInstructions.Record("What is tea?", "Tea is a drink. It is made of leaves, and water. People like it.", 7, i)])
                SftRecordParser.Parse(JsonDocument.Parse(record.Json.ToJsonString()).RootElement, default);
        }
    }

    [Fact]
    public void Records_depend_on_seed_and_number_only()
    {
        Assert.Equal(NanoTools.Record(3, 40).Json.ToJsonString(), NanoTools.Record(3, 40).Json.ToJsonString());
        Assert.NotEqual(NanoTools.Record(3, 40).Json.ToJsonString(), NanoTools.Record(4, 40).Json.ToJsonString());
        Assert.NotEqual(NanoArithmetic.Record(3, 40).Json.ToJsonString(), NanoArithmetic.Record(3, 41).Json.ToJsonString());
    }

    [Fact]
    public void No_problem_that_is_measured_on_is_in_the_training_part_in_either_order()
    {
        HashSet<string> measured = [.. NanoArithmetic.Questions(2).Select(question => question.Question)];
        Assert.InRange(measured.Count, 800, 3_000);
        for (int i = 0; i < 5_000; i++)
        {
            string text = NanoArithmetic.Record(1, i).Json.ToJsonString();
            foreach (Match match in Regex.Matches(text.Replace("\\u002B", "+", StringComparison.Ordinal), @"(\d+) ?([-+x]) ?(\d+)"))
            {
                Assert.DoesNotContain($"What is {match.Groups[1]} {match.Groups[2]} {match.Groups[3]}?", measured);
                if (match.Groups[2].Value != "-")
                    Assert.DoesNotContain($"What is {match.Groups[3]} {match.Groups[2]} {match.Groups[1]}?", measured);
            }
        }
    }

    [Fact]
    public void Tools_that_are_measured_on_are_not_in_the_training_part()
    {
        var trained = new HashSet<string>();
        for (int i = 0; i < 2_000; i++)
            trained.Add(NanoTools.Record(1, i).Key);
        Assert.InRange(trained.Count, 60, 85);
        for (int i = 0; i < 100; i++)
        {
            (JsonObject question, JsonObject answer) = NanoTools.TestRow(1, i);
            string name = answer["ground_truth"]![0]!.AsObject().Single().Key;
            Assert.Equal(name, question["function"]![0]!["name"]!.GetValue<string>());
            Assert.DoesNotContain(trained, key => key.Replace('.', '_') == name.Replace('.', '_'));
        }
    }

    [Fact]
    public void The_worked_steps_are_right()
    {
        for (int a = 0; a < 200; a++)
        {
            for (int b = 0; b <= a; b++)
            {
                foreach (char op in "+-x")
                {
                    if (op == 'x' && b > 9)
                        continue;
                    var problem = new NanoProblem(a, op, b);
                    string worked = NanoArithmetic.Worked(problem);
                    Assert.EndsWith(a < 10 && b < 10 ? $"= {problem.Result}." : $"So {problem.Result}.", worked, StringComparison.Ordinal);
                    foreach (Match step in Regex.Matches(worked, @"(\d+) ([-+x]) (\d+)(?: \+ (\d))? = (-?\d+)"))
                    {
                        int left = int.Parse(step.Groups[1].Value), right = int.Parse(step.Groups[3].Value), carry = step.Groups[4].Success ? 1 : 0;
                        Assert.Equal(step.Groups[2].Value switch { "+" => left + right + carry, "-" => left - right, _ => left * right }, int.Parse(step.Groups[5].Value));
                    }
                }
            }
        }

        Assert.Equal("ones: 7 + 8 = 15, write 5, carry 1. tens: 5 + 6 + 1 = 12, write 2, carry 1. So 125.", NanoArithmetic.Worked(new NanoProblem(57, '+', 68)));
        Assert.Equal("ones: 3 is less than 7, 13 - 7 = 6, borrow 1. tens: 6 - 1 = 5, 5 - 2 = 3, borrow 0. So 36.", NanoArithmetic.Worked(new NanoProblem(63, '-', 27)));
    }

    [Fact]
    public void Prompts_do_not_repeat_before_all_are_given()
    {
        string[] prompts = [.. Enumerable.Range(0, NanoPrompts.TopicCount).Select(i => NanoPrompts.Prompt([], 5, i))];
        Assert.Equal(NanoPrompts.TopicCount, prompts.Distinct().Count());
    }

    [Fact]
    public void Passages_that_are_measured_on_are_left_out()
    {
        string passage = string.Join(' ', Enumerable.Repeat("whale", 50)), other = string.Join(' ', Enumerable.Repeat("ship", 50));
        Assert.Equal([other], NanoPrompts.Passages($"{passage}\n\nshort\n\n{other}\n", [$"before {passage} after"]));
    }
}
