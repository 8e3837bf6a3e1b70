using Glimmer.Tokenization;

namespace Glimmer.Training.Upcycling;

/// <summary>The most frequent tokens of texts.</summary>
internal static class TokenFrequency
{
    /// <summary>Chooses tokens.</summary>
    /// <param name="tokenizer">Cuts the texts.</param>
    /// <param name="vocabulary">Ids to choose from.</param>
    /// <param name="count">How many.</param>
    /// <param name="files">The texts; tokens of equal frequency, and those that never occur, follow by id.</param>
    /// <returns>Ids, ascending.</returns>
    public static int[] MostFrequent(Tokenizer tokenizer, int vocabulary, int count, IReadOnlyList<string> files)
    {
        var counts = new long[vocabulary];
        foreach (string line in files.SelectMany(File.ReadLines))
        {
            foreach (int id in tokenizer.Encode(line))
                counts[id]++;
        }

        int[] chosen = [.. Enumerable.Range(0, vocabulary).OrderByDescending(id => counts[id]).ThenBy(id => id).Take(count)];
        Array.Sort(chosen);
        return chosen;
    }
}
