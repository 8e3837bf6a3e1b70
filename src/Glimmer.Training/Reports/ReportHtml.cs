using System.Globalization;
using System.Net;
using System.Text;

namespace Glimmer.Training.Reports;

/// <summary>The pieces of which a report is made. Text and cells are escaped here; what is named HTML goes in as it stands.</summary>
internal static class ReportHtml
{
    /// <summary>Style sheet of the page, light and dark as the reader's system asks.</summary>
    public const string Css = """
        :root{color-scheme:light dark;--page:#f6f8fa;--card:#fff;--text:#1f2328;--faint:#59636e;--rule:#d5dae0;--warn:#b42318}
        @media (prefers-color-scheme:dark){:root{--page:#0d1117;--card:#161b22;--text:#e6edf3;--faint:#9198a1;--rule:#30363d;--warn:#ff8f85}}
        body{margin:0 auto;max-width:1180px;padding:24px;background:var(--page);color:var(--text);font:15px/1.5 system-ui,sans-serif}
        h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:32px 0 10px}h3{font-size:15px;margin:18px 0 6px}p{margin:6px 0}.faint{color:var(--faint)}.warn{color:var(--warn)}
        .wide{overflow-x:auto}table{border-collapse:collapse;background:var(--card);border:1px solid var(--rule)}th,td{padding:5px 12px;text-align:left;border-bottom:1px solid var(--rule);white-space:nowrap}
        th{color:var(--faint);font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}td.t{white-space:normal;overflow-wrap:anywhere;min-width:240px}
        .plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,520px),1fr));gap:14px;align-items:start}.plots svg{width:100%;height:auto;border:1px solid var(--rule);border-radius:8px;box-sizing:border-box}
        pre{margin:6px 0;padding:10px 12px;background:var(--card);border:1px solid var(--rule);border-radius:6px;white-space:pre-wrap;overflow-wrap:anywhere;font:13px/1.45 ui-monospace,monospace}
        details{margin:6px 0}summary{cursor:pointer}.dot{display:inline-block;width:10px;height:10px;border-radius:50%;margin-right:7px}
        """;

    /// <summary>Text as HTML.</summary>
    public static string Escape(string text) => WebUtility.HtmlEncode(text);

    /// <summary>A table; a column whose head starts with <c>#</c> holds numbers, with <c>~</c> text that wraps, with <c>&lt;</c> cells that are HTML already.</summary>
    public static string Table(IReadOnlyList<string> heads, IEnumerable<IReadOnlyList<string>> rows)
    {
        var html = new StringBuilder("<div class=\"wide\"><table>\n<tr>");
        foreach (string head in heads)
            html.Append(CultureInfo.InvariantCulture, $"<th{Class(head)}>{Escape(head.TrimStart('#', '~', '<'))}</th>");
        html.Append("</tr>\n");
        foreach (IReadOnlyList<string> row in rows)
        {
            html.Append("<tr>");
            for (int i = 0; i < row.Count; i++)
                html.Append(CultureInfo.InvariantCulture, $"<td{Class(heads[i])}>{(heads[i][0] == '<' ? row[i] : Escape(row[i]))}</td>");
            html.Append("</tr>\n");
        }

        return html.Append("</table></div>\n").ToString();

        static string Class(string head) => head[0] switch { '#' => " class=\"n\"", '~' => " class=\"t\"", _ => "" };
    }

    /// <summary>A fold-out.</summary>
    public static string FoldOut(string title, string html, bool open = false) => $"<details{(open ? " open=\"open\"" : "")}><summary>{Escape(title)}</summary>\n{html}</details>\n";

    /// <summary>A page that loads nothing. Control characters, which no page may hold, become their pictures (U+2400 and on).</summary>
    public static string Page(string title, string style, string body)
    {
        string page = $"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8"/>
            <meta name="viewport" content="width=device-width, initial-scale=1"/>
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>
            <title>{Escape(title)}</title>
            <style>
            {style}
            </style>
            </head>
            <body>
            {body}</body>
            </html>

            """;
        return string.Create(page.Length, page, static (span, text) =>
        {
            for (int i = 0; i < span.Length; i++)
            {
                span[i] = text[i] switch
                {
                    '\t' or '\n' or '\r' => text[i],
                    < ' ' => (char)(0x2400 + text[i]),
                    '\u007F' => '\u2421',
                    '\uFFFE' or '\uFFFF' => '\uFFFD',
                    _ => text[i],
                };
            }
        });
    }

    /// <summary>A figure: six digits at most.</summary>
    public static string Number(double value) => double.IsFinite(value) ? value.ToString("g6", CultureInfo.InvariantCulture) : "-";

    /// <summary>A whole number with groups of three.</summary>
    public static string Count(double value) => double.IsFinite(value) ? value.ToString("#,0", CultureInfo.InvariantCulture).Replace(',', ' ') : "-";

    /// <summary>Bytes in binary units.</summary>
    public static string Bytes(long bytes)
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB"];
        double value = bytes;
        int unit = 0;
        for (; value >= 1024 && unit < units.Length - 1; unit++)
            value /= 1024;
        return value.ToString(unit == 0 ? "0" : "0.0", CultureInfo.InvariantCulture) + " " + units[unit];
    }
}
