namespace Glimmer.Data.Synthesis.Miniature;

/// <summary>The questions of the miniature's report card.</summary>
internal static class MiniatureQuestions
{
    private static readonly Dictionary<string, (ArithmeticOperation Operation, int DigitsA, int DigitsB)> s_arithmetic = new()
    {
        ["add-2"] = (ArithmeticOperation.Add, 2, 2),
        ["add-3"] = (ArithmeticOperation.Add, 3, 3),
        ["add-5"] = (ArithmeticOperation.Add, 5, 5),
        // Longer than anything trained.
        ["add-6"] = (ArithmeticOperation.Add, MiniatureArithmetic.MaxDigits + 1, MiniatureArithmetic.MaxDigits + 1),
        ["subtract-3"] = (ArithmeticOperation.Subtract, 3, 3),
        ["multiply-2x2"] = (ArithmeticOperation.Multiply, 2, 2),
        ["divide"] = (ArithmeticOperation.Divide, 3, 1),
        ["compare"] = (ArithmeticOperation.Compare, 4, 4),
    };

    /// <summary>The tasks.</summary>
    public static IReadOnlyList<string> Tasks { get; } = [.. s_arithmetic.Keys, "facts-seen", "facts-new-wording", "facts-chinese", "chains", "lists", "tools"];

    /// <summary>Questions of a task.</summary>
    public static IReadOnlyList<SyntheticQuestion> Create(ulong seed, string task, int count)
    {
        if (!Tasks.Contains(task))
            throw new ArgumentException($"There is no task '{task}'; the tasks are {string.Join(", ", Tasks)}.", nameof(task));
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        CorpusSplit split = task == "facts-seen" ? CorpusSplit.Train : CorpusSplit.Test;
        var questions = new Dictionary<(ulong, string), SyntheticQuestion>();
        // Small tasks have fewer problems than asked for: after many repetitions nothing new comes.
        for (long index = 0, repeated = 0; questions.Count < count && repeated < 200; index++)
        {
            SyntheticQuestion question = Question(new Choices(seed, "miniature/questions/" + task, index, split), task);
            // Both orders of a sum are two questions; another wording of one order is not.
            repeated = questions.TryAdd((question.Key, s_arithmetic.ContainsKey(task) ? question.Completion ?? "" : ""), question) ? 0 : repeated + 1;
        }

        return [.. questions.Values];
    }

    private static SyntheticQuestion Question(Choices choices, string task)
    {
        if (s_arithmetic.TryGetValue(task, out (ArithmeticOperation Operation, int DigitsA, int DigitsB) kind))
        {
            ArithmeticProblem problem = MiniatureArithmetic.Problem(choices, kind.Operation, kind.DigitsA, kind.DigitsB);
            // A comparison is written with its sign between the numbers: no text that ends before the sign shows both.
            string? completion = problem.Operation == ArithmeticOperation.Compare ? null : $"{problem.Expression} =";
            return new SyntheticQuestion(task, problem.Key, MiniatureArithmetic.Question(choices, problem), problem.Answer) { Completion = completion };
        }

        switch (task)
        {
            case "lists":
                ListProblem list = MiniatureLists.Problem(choices);
                return new SyntheticQuestion(task, list.Key, list.Prose, list.Answer) { Completion = list.Prose };
            case "tools":
                (ulong toolKey, string asked, string call, string result, string answer) = MiniatureTools.Problem(choices);
                return new SyntheticQuestion(task, toolKey, asked, answer) { Tools = MiniatureTools.Schemas, Call = call, CallResult = result };
            case "chains":
                (WorldFact first, WorldFact second) = MiniatureFacts.Chain(choices);
                string chain = MiniatureFacts.ChainQuestion(choices, first, second);
                return new SyntheticQuestion(task, MiniatureFacts.ChainKey(first, second), chain, second.English) { Completion = chain };
            default:
                bool isChinese = task == "facts-chinese";
                (WorldFact fact, string question, ulong key) = MiniatureFacts.Question(choices, isChinese);
                return new SyntheticQuestion(task, key, question, isChinese ? fact.Chinese : fact.English) { Completion = isChinese ? $"问：{question} 答：" : $"Q: {question} A:" };
        }
    }
}
