namespace Glimmer.Data.Synthesis.Miniature;

/// <summary>The world family: facts in many wordings of two languages, reversed, and in chains of two.</summary>
/// <remarks>
/// Facts cannot be held out, only their wordings: the key is (fact, wording), so that a fact of the test is known from other wordings. Chains are held out as (entity, first, second attribute), 8 of 100 because they are few.
/// </remarks>
internal static class MiniatureFacts
{
    // Each wording: {e} entity, {a} attribute, {v} value.
    private static readonly string[] s_english =
    [
        "The {a} of {e} is {v}.", "{e}: {a} {v}.", "Everyone knows that the {a} of {e} is {v}.", "If you ask for the {a} of {e}, the answer is {v}.", "{v} is the {a} of {e}.",
        "As for {e}, the {a} is {v}.", "About {e} the book says: {a}, {v}.", "You may have heard it: {e} has {v} as {a}.", "I looked up the {a} of {e}; it is {v}.", "{e}, whose {a} is {v}, is well known here.",
    ];

    private static readonly string[] s_chinese = ["{e}的{a}是{v}。", "大家都知道，{e}的{a}是{v}。", "{v}是{e}的{a}。", "说到{e}，它的{a}是{v}。", "书上写着：{e}的{a}是{v}。", "{e}：{a}{v}。"];

    private static readonly string[] s_questions =
    [
        "What is the {a} of {e}?", "Tell me the {a} of {e}.", "Do you know the {a} of {e}?", "{e}: what is its {a}?", "Which {a} does {e} have?", "Please name the {a} of {e}.", "I forgot the {a} of {e}.",
        "Give me the {a} of {e}.", "What do you know about the {a} of {e}?", "Could you say what the {a} of {e} is?", "The {a} of {e}, please.", "Let me know the {a} of {e}.", "For {e}, what is the {a}?",
        "How would you answer: the {a} of {e}?",
    ];

    private static readonly string[] s_chineseQuestions =
    [
        "{e}的{a}是什么？", "请告诉我{e}的{a}。", "你知道{e}的{a}吗？", "说出{e}的{a}。", "我想知道{e}的{a}。", "我忘了{e}的{a}。", "{e}：{a}是什么？", "关于{e}，它的{a}是什么？", "请问{e}的{a}？", "能说一下{e}的{a}吗？",
        "给我{e}的{a}。", "{e}有什么样的{a}？",
    ];

    private static readonly string[] s_chainQuestions = ["What is the {b} of the {a} of {e}?", "Tell me the {b} of the {a} of {e}.", "Name the {b} of {e}'s {a}."];

    private static MiniatureWorld World => MiniatureWorld.Instance;

    /// <summary>Wordings of a fact, questions included.</summary>
    public static int WordingCount => s_english.Length + s_chinese.Length + s_questions.Length + s_chineseQuestions.Length;

    /// <summary>A document: statements about one entity or several, questions with answers, or chains.</summary>
    public static (string Task, ulong Key, string Text) Document(Choices choices)
    {
        string form = choices.Weighted<string>((0.45, "entity"), (0.25, "mixed"), (0.18, "questions"), (0.12, "chains"));
        // One entity has too few wordings to be sure of one outside training.
        form = form == "entity" && choices.Split != CorpusSplit.Train ? "mixed" : form;
        int count = form == "chains" ? choices.Between(1, 2) : choices.Between(2, 5);
        bool isChinese = choices.Chance(0.35);
        WorldEntity about = choices.Pick(World.Entities);
        IReadOnlyList<WorldFact> facts = form == "entity" ? choices.Some(World.About(about), Math.Min(count, World.About(about).Count)) : [];
        var parts = new List<string>();
        ulong key = 0;
        for (int i = 0; i < (form == "entity" ? facts.Count : count); i++)
        {
            string part;
            ulong partKey;
            if (form == "chains")
            {
                (WorldFact first, WorldFact second) = Chain(choices);
                (part, partKey) = ($"{ChainQuestion(choices, first, second)} {ChainSteps(first, second)} So {second.English}.", ChainKey(first, second));
            }
            else if (form == "questions")
            {
                (WorldFact fact, string question, partKey) = Question(choices, isChinese);
                part = isChinese ? $"问：{question} 答：{fact.Chinese}。" : $"Q: {question} A: {fact.English}.";
            }
            else
            {
                WorldFact? given = form == "entity" ? facts[i] : null;
                (WorldFact fact, string wording) = choices.Draw(c => (given ?? c.Pick(World.Facts), c.Pick(isChinese ? s_chinese : s_english)), drawn => CorpusKey.SplitOf(drawn.Item1.KeyIn(drawn.Item2)));
                (part, partKey) = (Fill(wording, fact, isChinese), fact.KeyIn(wording));
            }

            key = i == 0 ? partKey : key;
            parts.Add(part);
        }

        return ($"world/{form}", key, string.Join(isChinese && form is "entity" or "mixed" ? "" : form is "questions" or "chains" ? "\n" : " ", parts));
    }

    /// <summary>A question about a fact in a wording of the split.</summary>
    public static (WorldFact Fact, string Question, ulong Key) Question(Choices choices, bool isChinese)
    {
        (WorldFact fact, string wording) = choices.Draw(c => (c.Pick(World.Facts), c.Pick(isChinese ? s_chineseQuestions : s_questions)), drawn => CorpusKey.SplitOf(drawn.Item1.KeyIn(drawn.Item2)));
        return (fact, Fill(wording, fact, isChinese), fact.KeyIn(wording));
    }

    /// <summary>Two facts of which the first names the entity of the second, of the split.</summary>
    public static (WorldFact First, WorldFact Second) Chain(Choices choices) =>
        choices.Draw(
            c =>
            {
                WorldFact first = c.Pick(World.Links);
                return (first, c.Pick(World.About(first.Target!)));
            },
            chain => CorpusKey.SplitOf(ChainKey(chain.first, chain.Item2), validation: 2, test: 8));

    /// <summary>Key of a chain.</summary>
    public static ulong ChainKey(WorldFact first, WorldFact second) => CorpusKey.Of("chain", first.Entity.English, first.Attribute.English, second.Attribute.English);

    /// <summary>A question for the end of a chain.</summary>
    public static string ChainQuestion(Choices choices, WorldFact first, WorldFact second) =>
        Fill(choices.Pick(s_chainQuestions), first, isChinese: false).Replace("{b}", second.Attribute.English, StringComparison.Ordinal);

    /// <summary>Both facts of a chain, the intermediate one first.</summary>
    public static string ChainSteps(WorldFact first, WorldFact second) => $"{Fill(s_english[0], first, isChinese: false)} {Fill(s_english[0], second, isChinese: false)}";

    /// <summary>The fact as a plain sentence.</summary>
    public static string Statement(WorldFact fact, bool isChinese) => Fill(isChinese ? s_chinese[0] : s_english[0], fact, isChinese);

    private static string Fill(string wording, WorldFact fact, bool isChinese) => wording
        .Replace("{e}", isChinese ? fact.Entity.Chinese : fact.Entity.English, StringComparison.Ordinal)
        .Replace("{a}", isChinese ? fact.Attribute.Chinese : fact.Attribute.English, StringComparison.Ordinal)
        .Replace("{v}", isChinese ? fact.Chinese : fact.English, StringComparison.Ordinal);
}
