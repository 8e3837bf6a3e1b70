namespace Glimmer.Training.Recipes;

/// <summary>Finds the name that was probably meant when one is not known.</summary>
public static class NearestName
{
    /// <summary>The known name with the smallest edit distance, when it is near: a third of the letters or two may differ. Null otherwise.</summary>
    /// <param name="name">What was given.</param>
    /// <param name="known">What there is.</param>
    public static string? Of(string name, IEnumerable<string> known)
    {
        ArgumentNullException.ThrowIfNull(name);
        (string best, int distance) = known.Select(other => (other, Distance(name, other))).OrderBy(pair => pair.Item2).FirstOrDefault((name, int.MaxValue));
        return distance <= Math.Max(2, name.Length / 3) ? best : null;
    }

    // Levenshtein.
    private static int Distance(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int corner = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int changed = corner + (a[i - 1] == b[j - 1] ? 0 : 1);
                corner = row[j];
                row[j] = Math.Min(changed, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[b.Length];
    }
}
