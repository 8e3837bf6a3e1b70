using System.Text;

namespace Glimmer.Training.Sft;

/// <summary>Rows of comma-separated text (RFC 4180): quoted cells may hold commas, line breaks, and quotes written twice.</summary>
internal static class CsvRows
{
    /// <summary>Reads all rows with the line each begins in.</summary>
    /// <exception cref="FormatException">A quote is not closed.</exception>
    public static IEnumerable<(int Line, List<string> Cells)> Read(string text)
    {
        var cells = new List<string>();
        var cell = new StringBuilder();
        int line = 1, start = 1;
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (c == '"' && cell.Length == 0)
            {
                for (i++; ; i++)
                {
                    if (i >= text.Length)
                        throw new FormatException($"line {start}: a quoted cell is not closed.");
                    if (text[i] == '"' && (i + 1 == text.Length || text[i + 1] != '"'))
                        break;
                    if (text[i] == '"')
                        i++;
                    line += text[i] == '\n' ? 1 : 0;
                    cell.Append(text[i]);
                }
            }
            else if (c == ',')
            {
                cells.Add(cell.ToString());
                cell.Clear();
            }
            else if (c == '\n')
            {
                if (cells.Count > 0 || cell.Length > 0)
                {
                    cells.Add(cell.ToString());
                    yield return (start, cells);
                }

                cells = [];
                cell.Clear();
                start = ++line;
            }
            else if (c != '\r')
            {
                cell.Append(c);
            }
        }

        if (cells.Count == 0 && cell.Length == 0)
            yield break;
        cells.Add(cell.ToString());
        yield return (start, cells);
    }
}
