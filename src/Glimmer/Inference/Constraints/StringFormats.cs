namespace Glimmer.Inference.Constraints;

/// <summary>
/// The values of <c>format</c> as languages (RFC 3339, 5321, 1123, 2673, 4291, 3986, 4122, 6901). Names of JSON Schema that have no exact language
/// here are refused; names that it does not define are annotations and say nothing.
/// </summary>
internal sealed class StringFormats(LanguageArena arena)
{
    private const string Date30 = "(0[469]|11)-(0[1-9]|[12][0-9]|30)";
    private const string Date31 = "(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])";
    private const string Date28 = "02-(0[1-9]|1[0-9]|2[0-8])";
    private const string Leap = "(([0-9][0-9](0[48]|[2468][048]|[13579][26]))|(0[048]|[2468][048]|[13579][26])00)-02-29";
    private const string Date = "([0-9]{4}-(" + Date30 + "|" + Date31 + "|" + Date28 + ")|" + Leap + ")";
    private const string Hour = "([01][0-9]|2[0-3])";
    private const string Sixty = "[0-5][0-9]";
    private const string Time = Hour + ":" + Sixty + ":" + Sixty + @"(\.[0-9]+)?([zZ]|[+-]" + Hour + ":" + Sixty + ")";
    private const string Atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
    private const string Label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
    private const string Byte = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
    private const string Ipv4 = Byte + @"(\." + Byte + "){3}";
    private const string Hex = "[0-9A-Fa-f]";
    private const string Unreserved = "[A-Za-z0-9._~!$&'()*+,;=:@/?-]";

    private static string Ipv6 { get; } = Ipv6Pattern();

    /// <summary>The language of a format; null when the name is an annotation.</summary>
    /// <exception cref="ConstraintException">JSON Schema defines the format, and it has no language here.</exception>
    public Language? Find(string name) => name switch
    {
        "date" => Whole(Date),
        "time" => Times(),
        "date-time" => arena.Sequence(Whole(Date + "[tT]"), Times()),
        "duration" => Whole(@"P([0-9]+W|([0-9]+Y([0-9]+M([0-9]+D)?)?|[0-9]+M([0-9]+D)?|[0-9]+D)(T([0-9]+H([0-9]+M([0-9]+S)?)?|[0-9]+M([0-9]+S)?|[0-9]+S))?|T([0-9]+H([0-9]+M([0-9]+S)?)?|[0-9]+M([0-9]+S)?|[0-9]+S))"),
        "email" => Email(),
        "hostname" => Hostname(),
        "ipv4" => Whole(Ipv4),
        "ipv6" => Whole(Ipv6),
        "uuid" => Whole(Hex + "{8}-" + Hex + "{4}-" + Hex + "{4}-" + Hex + "{4}-" + Hex + "{12}"),
        "uri" => Whole("[A-Za-z][A-Za-z0-9+.-]*:(//([A-Za-z0-9._~!$&'()*+,;=:%-]*@)?([A-Za-z0-9._~-]+|\\[(" + Ipv6 + "|" + Ipv4 + @")\])(:[0-9]*)?([/?](" + Unreserved + "|%" + Hex + Hex + @")*)?(#(" + Unreserved + "|%" + Hex + Hex + ")*)?|[A-Za-z0-9._~!$&'()*+,;=:@-](" + Unreserved + "|%" + Hex + Hex + ")*)"),
        "json-pointer" => Whole("(/([^~/]|~[01])*)*"),
        "relative-json-pointer" => Whole("(0|[1-9][0-9]*)(#|(/([^~/]|~[01])*)*)"),
        "idn-email" or "idn-hostname" or "uri-reference" or "iri" or "iri-reference" or "uri-template" or "regex" =>
            throw ConstraintException.Unsupported("format", $"'{name}' has no exact automaton here"),
        _ => null,
    };

    private Language Whole(string pattern) => RegexLanguage.Whole(arena, pattern);

    private Language Hostname()
    {
        Language names = Whole(Label + @"(\." + Label + ")*");
        // Names with "--" in third place are reserved for encoded ones, whose form is not regular.
        Language reserved = RegexLanguage.Search(arena, @"(^|\.)..--");
        return arena.Intersection(arena.Difference(names, reserved), arena.Repeat(arena.AnyCharacter, 1, 253));
    }

    private Language Email()
    {
        const string quoted = @"""([ !#-\[\]-~]|\\[ -~])*""";
        const string domain = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?";
        return Whole("(" + Atom + @"(\." + Atom + ")*|" + quoted + ")@(" + domain + @"(\." + domain + @")*|\[(" + Ipv4 + "|IPv6:(" + Ipv6 + @"))\])");
    }

    /// <summary>Times of day with an offset. A leap second is the last one of a day in UTC, so each minute has it with the offsets that lead there.</summary>
    private Language Times()
    {
        const int day = 24 * 60;
        var choices = new List<Language> { Whole(Time) };
        Language fraction = Whole(@":60(\.[0-9]+)?");
        for (int minute = 0; minute < day; minute++)
        {
            int ahead = (minute + 1) % day; // minutes from 23:59 UTC to local time
            Language offset = arena.Union(arena.Literal("+" + Clock(ahead)), arena.Literal("-" + Clock((day - ahead) % day)));
            if (ahead == 0)
                offset = arena.Union(offset, Whole("[zZ]"));
            choices.Add(arena.Sequence(arena.Literal(Clock(minute)), arena.Sequence(fraction, offset)));
        }

        return arena.Union(choices);
    }

    private static string Clock(int minutes) => $"{minutes / 60:00}:{minutes % 60:00}";

    private static string Ipv6Pattern()
    {
        const string group = Hex + "{1,4}";
        const string tail = "(" + group + ":" + group + "|" + Ipv4 + ")";
        var forms = new List<string> { $"({group}:){{6}}{tail}" };
        for (int after = 0; after <= 5; after++)
        {
            int before = 5 - after;
            string front = before == 0 ? "" : $"(({group}:){{0,{before - 1}}}{group})?";
            forms.Add(front + "::" + (after == 0 ? tail : $"({group}:){{{after}}}{tail}"));
        }

        forms.Add($"(({group}:){{0,5}}{group})?::{group}");
        forms.Add($"(({group}:){{0,6}}{group})?::");
        return string.Join('|', forms);
    }
}
