namespace Glimmer.Chat;

internal enum NameVerdictKind
{
    Undecided,

    /// <summary>A declared name, ended by a marker.</summary>
    Named,

    /// <summary>A complete call written as a JSON object.</summary>
    Json,

    /// <summary>No call.</summary>
    Failed,
}

/// <summary>What the text after <c>&lt;tool_call&gt;</c> turned out to be.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Name">The declared tool.</param>
/// <param name="Marker">The marker that ended the name.</param>
/// <param name="Used">Characters used up, the marker included.</param>
/// <param name="Key">The first key, where its opening marker is missing.</param>
/// <param name="Arguments">The arguments of a JSON call.</param>
internal readonly record struct NameVerdict(NameVerdictKind Kind, string? Name = null, string? Marker = null, int Used = 0, string? Key = null, DataObject? Arguments = null);

/// <summary>Reads the name of a call, up to the first marker, and fails at the first character that rules every declared tool out.</summary>
/// <remarks>What was looked at once is not looked at again when more text arrives.</remarks>
internal sealed class NameReader(IEnumerable<string> names)
{
    private static readonly string[] s_closeOnly = [Markers.CallClose];

    private readonly HashSet<string> _declared = new(names, StringComparer.Ordinal);
    private readonly string[] _longestFirst = [.. names.OrderByDescending(name => name.Length)];
    private int _nameStart;
    private int _scanned;
    private int _lineScanned;
    private int _lineEnd;
    private bool _startsWithName;

    /// <summary>Place of the next closing marker in the whole text, so that calls that fail one after the other do not search for the same one.</summary>
    private long _knownClose = -1;

    public void Restart()
    {
        (_nameStart, _scanned, _lineScanned, _lineEnd, _startsWithName) = (0, 0, 0, -1, false);
    }

    /// <param name="text">Everything after the opening marker, more at every call.</param>
    /// <param name="position">Where it stands in the whole output.</param>
    /// <param name="markers">Markers that end a name.</param>
    public NameVerdict Read(ReadOnlySpan<char> text, long position, ReadOnlySpan<string> markers)
    {
        _nameStart += Markers.LeadingSpace(text[_nameStart..]);
        if (_nameStart == text.Length || text[_nameStart..] is "\\")
            return default;
        if (text[_nameStart] == '{')
            return ReadJson(text, position);
        (int end, string? marker) = Markers.Find(text, Math.Max(_scanned, _nameStart), markers);
        _scanned = end;
        ReadOnlySpan<char> name = text[_nameStart..end];
        if (!CanLeadToName(name, marker is not null))
            return new NameVerdict(NameVerdictKind.Failed);
        return marker is null ? default : Decide(name, marker, end + marker.Length);
    }

    private bool CanLeadToName(ReadOnlySpan<char> text, bool isComplete)
    {
        if (!_startsWithName)
        {
            bool isBeginning = false;
            foreach (string name in _longestFirst)
            {
                _startsWithName |= text.StartsWith(name, StringComparison.Ordinal);
                isBeginning |= name.AsSpan().StartsWith(text, StringComparison.Ordinal);
            }

            if (!_startsWithName && !isBeginning)
                return false;
        }

        if (_lineEnd < 0)
        {
            _lineEnd = IndexOfLineEnd(text, _lineScanned);
            _lineScanned = isComplete ? text.Length : Math.Max(0, text.Length - 1);
            if (_lineEnd >= 0)
                return _declared.GetAlternateLookup<ReadOnlySpan<char>>().Contains(PythonText.Trim(text[.._lineEnd]));
        }

        return true;
    }

    private static int IndexOfLineEnd(ReadOnlySpan<char> text, int from)
    {
        for (int i = from; i < text.Length; i++)
        {
            if (text[i] == '\n' || (text[i] == '\\' && i + 1 < text.Length && text[i + 1] == 'n'))
                return i;
        }

        return -1;
    }

    private NameVerdict Decide(ReadOnlySpan<char> text, string marker, int used)
    {
        if (marker == Markers.KeyClose)
            return DecideMissingKeyOpen(text, used);
        string firstLine = PythonText.Trim(_lineEnd < 0 ? text : text[.._lineEnd]).ToString();
        return marker != Markers.CallOpen && _declared.Contains(firstLine)
            ? new NameVerdict(NameVerdictKind.Named, firstLine, marker, used)
            : new NameVerdict(NameVerdictKind.Failed);
    }

    /// <summary>The name runs into the first key: the longest declared name that the text starts with, and the rest.</summary>
    private NameVerdict DecideMissingKeyOpen(ReadOnlySpan<char> text, int used)
    {
        foreach (string name in _longestFirst)
        {
            if (!text.StartsWith(name, StringComparison.Ordinal))
                continue;
            string key = Markers.Trim(text[name.Length..]).ToString();
            return key.Length > 0
                ? new NameVerdict(NameVerdictKind.Named, name, Markers.KeyClose, used, key)
                : new NameVerdict(NameVerdictKind.Failed);
        }

        return new NameVerdict(NameVerdictKind.Failed);
    }

    private NameVerdict ReadJson(ReadOnlySpan<char> text, long position)
    {
        int end = (int)(_knownClose - position);
        if (_knownClose < position + _nameStart)
        {
            (end, string? marker) = Markers.Find(text, Math.Max(_scanned, _nameStart), s_closeOnly);
            _scanned = end;
            if (marker is null)
                return default;
            _knownClose = position + end;
        }

        if (!DataValue.TryParse(PythonText.Trim(text[_nameStart..end]), out DataValue? value)
            || value is not DataObject call || call.Find("name")?.AsString is not { } name || !_declared.Contains(name))
            return new NameVerdict(NameVerdictKind.Failed);
        DataValue? arguments = call.Find("arguments") ?? call.Find("parameters");
        if (arguments?.AsString is { } written && DataValue.TryParse(written, out DataValue? parsed))
            arguments = parsed;
        return arguments is DataObject mapping
            ? new NameVerdict(NameVerdictKind.Json, name, Markers.CallClose, end + Markers.CallClose.Length, null, mapping)
            : new NameVerdict(NameVerdictKind.Failed);
    }
}
