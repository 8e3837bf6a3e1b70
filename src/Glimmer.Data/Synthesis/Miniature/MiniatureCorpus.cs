using System.Text;

namespace Glimmer.Data.Synthesis.Miniature;

/// <summary>The corpus of the miniature: every document and conversation is a function of (seed, family, split, index), so it streams in constant memory and needs no files.</summary>
/// <remarks>Keys decide the splits (98 : 1 : 1, and 90 : 2 : 8 where there are few problems, see <see cref="CorpusKey"/>). A change of what is generated raises <see cref="Version"/>.</remarks>
public sealed class MiniatureCorpus
{
    /// <summary>Version of the generator: equal versions and seeds give equal texts.</summary>
    public const int Version = 2;

    private readonly ulong _seed;

    /// <summary>Creates the corpus.</summary>
    /// <param name="seed">Its seed.</param>
    public MiniatureCorpus(ulong seed) => _seed = seed;

    /// <summary>Facts of the invented world.</summary>
    public static int FactCount => MiniatureWorld.Instance.Facts.Count;

    /// <summary>The families of a stage and their shares of its text.</summary>
    public static IReadOnlyList<(MiniatureFamily Family, double Share)> SharesOf(MiniatureStage stage) => stage switch
    {
        MiniatureStage.General =>
        [
            (MiniatureFamily.Arithmetic, 0.32), (MiniatureFamily.World, 0.25), (MiniatureFamily.Lists, 0.18), (MiniatureFamily.Stories, 0.14), (MiniatureFamily.ChineseStories, 0.07),
            (MiniatureFamily.Tools, 0.04),
        ],
        MiniatureStage.Reasoning =>
        [
            (MiniatureFamily.Arithmetic, 0.42), (MiniatureFamily.Lists, 0.28), (MiniatureFamily.World, 0.18), (MiniatureFamily.Stories, 0.05), (MiniatureFamily.ChineseStories, 0.03), (MiniatureFamily.Tools, 0.04),
        ],
        _ =>
        [
            (MiniatureFamily.Thinking, 0.4), (MiniatureFamily.Tools, 0.14), (MiniatureFamily.Repository, 0.1), (MiniatureFamily.LongLists, 0.1), (MiniatureFamily.Arithmetic, 0.08), (MiniatureFamily.World, 0.12),
            (MiniatureFamily.Stories, 0.04), (MiniatureFamily.ChineseStories, 0.02),
        ],
    };

    /// <summary>A document.</summary>
    /// <param name="family">Its family.</param>
    /// <param name="index">Its number, from 0.</param>
    /// <param name="split">Its split.</param>
    public SyntheticDocument Document(MiniatureFamily family, long index, CorpusSplit split = CorpusSplit.Train)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        var choices = new Choices(_seed, $"miniature/{family}", index, split);
        (string task, ulong key, string text) = family switch
        {
            MiniatureFamily.Arithmetic => MiniatureArithmetic.Document(choices),
            MiniatureFamily.World => MiniatureFacts.Document(choices),
            MiniatureFamily.Lists => MiniatureLists.Document(choices),
            MiniatureFamily.Stories => MiniatureStories.Document(choices, isChinese: false),
            MiniatureFamily.ChineseStories => MiniatureStories.Document(choices, isChinese: true),
            MiniatureFamily.Tools => MiniatureTools.Document(choices),
            MiniatureFamily.Thinking => Thinking(choices),
            MiniatureFamily.Repository => MiniatureRepository.Document(choices),
            MiniatureFamily.LongLists => MiniatureLists.Document(choices, 2 * MiniatureLists.MaxItems),
            _ => throw new ArgumentOutOfRangeException(nameof(family), family, "There is no such family."),
        };
        return new SyntheticDocument(task, key, split, text, choices.Bits);
    }

    /// <summary>The documents of a stage in its shares, which count bytes of text.</summary>
    /// <param name="stage">The stage.</param>
    /// <param name="bytes">Bytes of UTF-8 to reach.</param>
    /// <param name="split">The split.</param>
    public IEnumerable<SyntheticDocument> Stream(MiniatureStage stage, long bytes, CorpusSplit split = CorpusSplit.Train)
    {
        IReadOnlyList<(MiniatureFamily Family, double Share)> shares = SharesOf(stage);
        // Indices go on from stage to stage, so that no stage repeats the documents of another.
        var next = new long[shares.Count];
        var emitted = new long[shares.Count];
        for (long total = 0; total < bytes;)
        {
            int chosen = Behind(shares, emitted, total);
            SyntheticDocument document = Document(shares[chosen].Family, ((long)stage << 40) + next[chosen]++, split);
            int size = Encoding.UTF8.GetByteCount(document.Text);
            (emitted[chosen], total) = (emitted[chosen] + size, total + size);
            yield return document;
        }
    }

    /// <summary>A conversation of fine-tuning: half of them think, 15 % call tools, 5 % show a wrong turn that is not learned and its correction.</summary>
    /// <param name="index">Its number, from 0.</param>
    /// <param name="split">Its split.</param>
    public TrainingRecord Conversation(long index, CorpusSplit split = CorpusSplit.Train)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        return MiniatureConversations.Record(new Choices(_seed, "miniature/sft", index, split));
    }

    /// <summary>The tasks of the report card.</summary>
    public static IReadOnlyList<string> Tasks => MiniatureQuestions.Tasks;

    /// <summary>Questions of a task, from the test split (but for <c>facts-seen</c>, which asks what was trained).</summary>
    /// <param name="task">One of <see cref="Tasks"/>.</param>
    /// <param name="count">How many; the same problem is never asked twice, so small tasks may have fewer.</param>
    public IReadOnlyList<SyntheticQuestion> Questions(string task, int count) => MiniatureQuestions.Create(_seed, task, count);

    private static int Behind(IReadOnlyList<(MiniatureFamily Family, double Share)> shares, long[] emitted, long total)
    {
        int chosen = 0;
        for (int i = 1; i < shares.Count; i++)
        {
            if (shares[i].Share * total - emitted[i] > shares[chosen].Share * total - emitted[chosen])
                chosen = i;
        }

        return chosen;
    }

    private static (string Task, ulong Key, string Text) Thinking(Choices choices)
    {
        TrainingRecord record = MiniatureConversations.Plain(choices, thinks: true);
        return ("thinking/" + record.Task, record.Key, GlmLayout.Render(record));
    }
}
