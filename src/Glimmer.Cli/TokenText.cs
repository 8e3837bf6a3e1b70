using System.Text;
using Glimmer.Tokenization;

namespace Glimmer.Cli;

/// <summary>A token as people read it.</summary>
internal static class TokenText
{
    /// <summary>Its text in quotes, line breaks and the like escaped; bytes that are no whole characters as <c>\xE2</c>.</summary>
    public static string Show(Tokenizer tokenizer, int id)
    {
        if (!tokenizer.HasToken(id))
            return "(no token)";
        ReadOnlySpan<byte> bytes = tokenizer.TokenBytes(id);
        var text = new StringBuilder("\"");
        while (bytes.Length > 0)
        {
            bool valid = Rune.DecodeFromUtf8(bytes, out Rune rune, out int used) == System.Buffers.OperationStatus.Done;
            if (valid)
                Append(text, rune);
            else
                text.Append($"\\x{bytes[0]:X2}");
            bytes = bytes[(valid ? used : 1)..];
        }

        return text.Append('"').ToString();
    }

    private static void Append(StringBuilder text, Rune rune)
    {
        switch (rune.Value)
        {
            case '\n':
                text.Append("\\n");
                break;
            case '\r':
                text.Append("\\r");
                break;
            case '\t':
                text.Append("\\t");
                break;
            case '"' or '\\':
                text.Append('\\').Append(rune);
                break;
            default:
                if (Rune.IsControl(rune) || Rune.GetUnicodeCategory(rune) is System.Globalization.UnicodeCategory.Format or System.Globalization.UnicodeCategory.LineSeparator)
                    text.Append($"\\u{rune.Value:X4}");
                else
                    text.Append(rune);
                break;
        }
    }
}
