using System.Text;

namespace Glimmer.Data.Synthesis.Miniature;

/// <summary>Small repositories: several files in one document that refer to each other, as in repository-level mid-training.</summary>
internal static class MiniatureRepository
{
    private static readonly string[] s_projects = ["shop", "bank", "farm", "school", "office", "garden"];
    private static readonly string[] s_items = ["apple", "bread", "chair", "drum", "egg", "flag", "glove", "hammer", "iron", "jar", "knife", "lamp"];

    /// <summary>A repository with a table, functions over it, and tests that hold.</summary>
    public static (string Task, ulong Key, string Text) Document(Choices choices)
    {
        (string project, string[] items, int[] prices) = choices.Draw(
            c => (c.Pick(s_projects), c.Some(s_items, 4), new[] { c.Between(1, 20), c.Between(1, 20), c.Between(1, 20), c.Between(1, 20) }),
            drawn => CorpusKey.SplitOf(KeyOf(drawn.Item1, drawn.Item2, drawn.Item3)));
        int discount = choices.Between(1, 5);
        var text = new StringBuilder($"# repository: {project}\n# file: {project}/prices.py\n");
        for (int i = 0; i < items.Length; i++)
            text.Append($"{items[i].ToUpperInvariant()} = {prices[i]}\n");
        text.Append($"\n# file: {project}/total.py\nfrom {project}.prices import *\n\ndef total(count, price):\n    return count * price\n\ndef reduced(count, price):\n    return total(count, price) - {discount}\n");
        text.Append($"\n# file: {project}/test_total.py\nfrom {project}.total import *\n\n");
        int tests = choices.Between(3, 6);
        for (int i = 0; i < tests; i++)
        {
            int item = choices.Below(items.Length), count = choices.Between(1, 9);
            bool isReduced = choices.Chance(0.4);
            text.Append($"assert {(isReduced ? "reduced" : "total")}({count}, {items[item].ToUpperInvariant()}) == {count * prices[item] - (isReduced ? discount : 0)}\n");
        }

        return ("repository", KeyOf(project, items, prices), text.ToString().TrimEnd());
    }

    private static ulong KeyOf(string project, string[] items, int[] prices) => CorpusKey.Of("repository", project, string.Join(',', items), string.Join(',', prices));
}
