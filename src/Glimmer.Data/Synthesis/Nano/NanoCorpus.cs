namespace Glimmer.Data.Synthesis.Nano;

/// <summary>The data of Nano: records by family and number, the same for the same seed.</summary>
/// <remarks>
/// Generated families are split by keys (90 : 2 : 8): functions of the test are offered in no training record, problems of the test occur in neither order. Nothing comes from a benchmark's
/// test. A change of what is generated raises <see cref="Version"/>.
/// </remarks>
public sealed class NanoCorpus
{
    /// <summary>Version of the generator: equal versions, seeds and sources give equal records.</summary>
    public const int Version = 2;

    private readonly ulong _seed;
    private readonly NanoSources _sources;

    /// <summary>Creates the corpus.</summary>
    /// <param name="seed">Its seed.</param>
    /// <param name="sources">Passages and problems.</param>
    public NanoCorpus(ulong seed, NanoSources sources)
    {
        ArgumentNullException.ThrowIfNull(sources);
        (_seed, _sources) = (seed, sources);
        Prompts = NanoPrompts.Create(sources.Passages, seed);
    }

    /// <summary>Families and their shares of the records' tokens.</summary>
    public static IReadOnlyList<(NanoFamily Family, double Share)> Shares { get; } =
        [(NanoFamily.Tools, 0.35), (NanoFamily.Arithmetic, 0.25), (NanoFamily.OwnAnswers, 0.1), (NanoFamily.Texts, 0.15), (NanoFamily.Instructions, 0.1), (NanoFamily.Gsm8k, 0.05)];

    /// <summary>Functions of the generated tool sets.</summary>
    public static int FunctionCount => FunctionLibrary.All.Count;

    /// <summary>The prompts that the trunk answers, all different.</summary>
    public NanoPrompts Prompts { get; }

    /// <summary>Passages of books.</summary>
    public IReadOnlyList<string> Passages => _sources.Passages;

    /// <summary>Problems of GSM8K: more numbers than this begin again.</summary>
    public int Gsm8kCount => _sources.Problems.Count;

    /// <summary>A record of a family that needs no model.</summary>
    /// <param name="family">Any family but <see cref="NanoFamily.OwnAnswers"/> and <see cref="NanoFamily.Texts"/>.</param>
    /// <param name="index">Its number, from 0.</param>
    /// <param name="split">Its split; GSM8K and instructions have training records only.</param>
    public TrainingRecord Record(NanoFamily family, long index, CorpusSplit split = CorpusSplit.Train)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        if (split != CorpusSplit.Train && family is not (NanoFamily.Tools or NanoFamily.Arithmetic))
            throw new ArgumentException($"The family {family} has training records only.", nameof(split));
        var choices = new Choices(_seed, $"nano/{family}", index, split);
        return family switch
        {
            NanoFamily.Tools => NanoTools.Record(choices),
            NanoFamily.Arithmetic => NanoArithmetic.Record(choices),
            NanoFamily.Instructions => NanoInstructions.Rewriting(choices, _sources.Passages),
            NanoFamily.Gsm8k => _sources.Problems[(int)new Mixing.ShuffledOrder(Gsm8kCount, _seed).At(index / Gsm8kCount, index % Gsm8kCount)],
            _ => throw new ArgumentException($"Records of the family {family} need the answers of a model: take Prompts and Passages, and NanoPrompts.Record for each answer.", nameof(family)),
        };
    }

    /// <summary>A record of a prompt with checkable instructions; null when the answer cannot be made to obey.</summary>
    /// <param name="prompt">Number of the prompt.</param>
    /// <param name="answer">The model's answer to it.</param>
    /// <param name="variant">Which of the prompt's draws of instructions, from 0.</param>
    public TrainingRecord? InstructionRecord(int prompt, string answer, int variant = 0) =>
        NanoInstructions.Record(Prompts.All[prompt], NanoInstructions.For(_seed, prompt + ((long)variant * Prompts.All.Count)), answer);

    /// <summary>Held-out tool calls in the form of the Berkeley leaderboard: functions that no training record offers.</summary>
    /// <param name="count">How many.</param>
    /// <returns>Rows and accepted answers, JSON lines.</returns>
    public IReadOnlyList<(string Row, string Answer)> ToolEvaluation(int count) =>
        [.. Enumerable.Range(0, count).Select(i => NanoTools.EvaluationRow(new Choices(_seed, "nano/tool-evaluation", i, CorpusSplit.Test), $"simple_generated_{i}"))];

    /// <summary>The arithmetic tasks of the report card.</summary>
    public static IReadOnlyList<string> ArithmeticTasks { get; } = ["one-digit", "two-digit", "word-problems"];

    /// <summary>Questions of an arithmetic task, no problem twice.</summary>
    /// <param name="task"><c>one-digit</c> (all trained: they are too few to hold some out), <c>two-digit</c> or <c>word-problems</c> (held out in both orders).</param>
    /// <param name="count">How many.</param>
    public IReadOnlyList<SyntheticQuestion> ArithmeticEvaluation(string task, int count)
    {
        if (!ArithmeticTasks.Contains(task))
            throw new ArgumentException($"There is no task '{task}'; the tasks are {string.Join(", ", ArithmeticTasks)}.", nameof(task));
        var questions = new Dictionary<string, SyntheticQuestion>();
        for (long index = 0, repeated = 0; questions.Count < count && repeated < 1000; index++)
        {
            SyntheticQuestion question = Question(new Choices(_seed, "nano/evaluation/" + task, index, CorpusSplit.Test), task);
            repeated = questions.TryAdd(question.Prompt, question) ? 0 : repeated + 1;
        }

        return [.. questions.Values];
    }

    private static SyntheticQuestion Question(Choices choices, string task)
    {
        if (task == "word-problems")
        {
            (ulong key, string question, _, string answer) = NanoArithmetic.WordProblem(choices);
            return new SyntheticQuestion(task, key, question, answer);
        }

        ArithmeticProblem problem = task == "two-digit" ? NanoArithmetic.Problem(choices, 2) : OneDigit(choices);
        return new SyntheticQuestion(task, problem.Key, NanoArithmetic.PlainQuestion(problem), problem.Answer);
    }

    /// <summary>Two digits and an operation; of a difference the larger one comes first.</summary>
    private static ArithmeticProblem OneDigit(Choices choices)
    {
        int a = choices.Below(10), b = choices.Below(10);
        return choices.Pick([ArithmeticOperation.Add, ArithmeticOperation.Subtract, ArithmeticOperation.Multiply]) switch
        {
            ArithmeticOperation.Subtract => new ArithmeticProblem(ArithmeticOperation.Subtract, Math.Max(a, b), Math.Min(a, b)),
            ArithmeticOperation operation => new ArithmeticProblem(operation, a, b),
        };
    }
}
