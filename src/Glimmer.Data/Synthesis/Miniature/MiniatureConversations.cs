namespace Glimmer.Data.Synthesis.Miniature;

/// <summary>Conversations of the miniature: questions of all families, answered directly or after a thought, with tools, and with wrong turns that are corrected.</summary>
internal static class MiniatureConversations
{
    private static readonly (string Question, string Answer)[] s_small =
    [
        ("Hello!", "Hello! What can I do for you?"), ("你好！", "你好！我能帮你什么？"), ("Who are you?", "I am a small model that knows an invented world and some arithmetic."), ("Thank you.", "You are welcome."),
        ("你是谁？", "我是一个小模型。"), ("What can you do?", "I calculate, sort lists, know facts of my world and use tools."), ("Goodbye.", "Goodbye!"), ("谢谢。", "不客气。"),
    ];

    /// <summary>A record of fine-tuning.</summary>
    public static TrainingRecord Record(Choices choices)
    {
        bool thinks = choices.Chance(0.5);
        string kind = choices.Weighted<string>((0.15, "tools"), (0.05, "corrected"), (0.8, "plain"));
        if (kind == "plain")
            return Plain(choices, thinks) with { EntropyBits = choices.Bits };
        ulong key;
        IReadOnlyList<RecordMessage> messages;
        if (kind == "tools")
            (key, messages) = MiniatureTools.Conversation(choices, thinks);
        else
            (key, messages) = Corrected(choices, thinks);
        return new TrainingRecord(kind, key, choices.Split, messages) { Tools = kind == "tools" ? MiniatureTools.Schemas : [], EnableThinking = thinks, EntropyBits = choices.Bits };
    }

    /// <summary>A conversation of one or two questions without tools.</summary>
    public static TrainingRecord Plain(Choices choices, bool thinks)
    {
        var messages = new List<RecordMessage>();
        string task = "";
        ulong key = 0;
        int turns = choices.Chance(0.25) ? 2 : 1;
        for (int turn = 0; turn < turns; turn++)
        {
            (string turnTask, ulong turnKey, string question, string thought, string answer) = Turn(choices);
            (task, key) = turn == 0 ? (turnTask, turnKey) : (task, key);
            messages.Add(new RecordMessage("user", question));
            messages.Add(new RecordMessage("assistant", answer) { ReasoningContent = thinks ? thought : null });
        }

        return new TrainingRecord(task, key, choices.Split, messages) { EnableThinking = thinks, EntropyBits = choices.Bits };
    }

    /// <summary>A question with its thought and its answer.</summary>
    private static (string Task, ulong Key, string Question, string Thought, string Answer) Turn(Choices choices)
    {
        // Small talk is a fixed list, which only training has.
        switch (choices.Weighted<string>((0.42, "arithmetic"), (0.2, "lists"), (0.2, "facts"), (0.13, "chains"), (choices.Split == CorpusSplit.Train ? 0.05 : 0, "small")))
        {
            case "arithmetic":
                ArithmeticProblem problem = MiniatureArithmetic.Problem(choices);
                return ("arithmetic", problem.Key, MiniatureArithmetic.Question(choices, problem), problem.Worked, problem.Answer);
            case "lists":
                ListProblem list = MiniatureLists.Problem(choices);
                return ("lists", list.Key, list.Prose, list.Steps, list.Answer);
            case "facts":
                bool isChinese = choices.Chance(0.35);
                (WorldFact fact, string question, ulong key) = MiniatureFacts.Question(choices, isChinese);
                return ("facts", key, question, MiniatureFacts.Statement(fact, isChinese), isChinese ? fact.Chinese : fact.English);
            case "chains":
                (WorldFact first, WorldFact second) = MiniatureFacts.Chain(choices);
                return ("chains", MiniatureFacts.ChainKey(first, second), MiniatureFacts.ChainQuestion(choices, first, second), MiniatureFacts.ChainSteps(first, second), second.English);
            default:
                (string said, string reply) = choices.Pick(s_small);
                return ("small-talk", CorpusKey.Of("small", said), said, "A simple remark.", reply);
        }
    }

    /// <summary>A wrong answer that is read but not learned, the user's objection, and the right answer.</summary>
    private static (ulong Key, IReadOnlyList<RecordMessage> Messages) Corrected(Choices choices, bool thinks)
    {
        ArithmeticProblem problem = MiniatureArithmetic.Problem(choices, choices.Pick([ArithmeticOperation.Add, ArithmeticOperation.Subtract]), choices.Between(2, 4), choices.Between(2, 3));
        long right = problem.Operation == ArithmeticOperation.Add ? problem.A + problem.B : problem.A - problem.B;
        long wrong = right + choices.Pick([-10, -1, 1, 10]);
        return (problem.Key,
        [
            new RecordMessage("user", MiniatureArithmetic.Question(choices, problem)),
            new RecordMessage("assistant", $"{wrong}") { HasLoss = false, ReasoningContent = thinks ? "I guess." : null },
            new RecordMessage("user", choices.Pick(["That is wrong. Check it.", "Are you sure? Please check.", "不对，请再算一次。"])),
            new RecordMessage("assistant", $"{right}") { ReasoningContent = thinks ? problem.Worked : null },
        ]);
    }
}
