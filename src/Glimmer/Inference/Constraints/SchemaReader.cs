using System.Text.Json;

namespace Glimmer.Inference.Constraints;

/// <summary>
/// Reads JSON Schema (drafts 4 to 2020-12) as formulas. Keywords that say nothing about validity are skipped; those that cannot be expressed are refused
/// by name, never ignored.
/// </summary>
internal sealed class SchemaReader
{
    private static readonly string[] s_refused = ["$dynamicRef", "$recursiveRef", "unevaluatedItems", "unevaluatedProperties"];
    private const int LengthLimit = 10_000;
    private readonly JsonElement _root;
    private readonly FormulaArena _formulas;
    private readonly LanguageArena _languages;
    private readonly NumberLanguages _numbers;
    private readonly StringFormats _formats;
    private readonly bool _oldReferences;
    private readonly Dictionary<string, Formula> _resolved = [];

    public SchemaReader(JsonElement root, FormulaArena formulas, LanguageArena languages, NumberLanguages numbers)
    {
        _root = root;
        _formulas = formulas;
        _languages = languages;
        _numbers = numbers;
        _formats = new StringFormats(languages);
        string draft = root.ValueKind == JsonValueKind.Object && root.TryGetProperty("$schema", out JsonElement schema) && schema.ValueKind == JsonValueKind.String
            ? schema.GetString()!
            : "";
        _oldReferences = draft.Contains("draft-07") || draft.Contains("draft-06") || draft.Contains("draft-04");
    }

    /// <summary>The formula of the whole schema.</summary>
    public Formula Root() => Resolve("#");

    /// <summary>The formula at a pointer (<c>#</c>, <c>#/a/b</c>, as a URI fragment).</summary>
    public Formula Resolve(string pointer)
    {
        if (_resolved.TryGetValue(pointer, out Formula? known))
            return known;
        return _resolved[pointer] = Read(Find(pointer), inside: pointer != "#");
    }

    private JsonElement Find(string pointer)
    {
        if (!pointer.StartsWith('#'))
            throw ConstraintException.Unsupported("$ref", $"'{pointer}' is outside of the schema");
        string path = Uri.UnescapeDataString(pointer[1..]);
        if (path.Length > 0 && path[0] != '/')
            throw ConstraintException.Unsupported("$ref", $"'{pointer}' names an anchor");
        JsonElement at = _root;
        foreach (string step in path.Split('/').Skip(1))
        {
            string name = step.Replace("~1", "/").Replace("~0", "~");
            bool found = at.ValueKind switch
            {
                JsonValueKind.Object => at.TryGetProperty(name, out at),
                JsonValueKind.Array => int.TryParse(name, out int index) && index >= 0 && index < at.GetArrayLength() && (at = at[index]).ValueKind != JsonValueKind.Undefined,
                _ => false,
            };
            if (!found)
                throw new ConstraintException($"'$ref': the schema has nothing at '{pointer}'.");
        }

        return at;
    }

    private Formula Read(JsonElement schema, bool inside = true)
    {
        if (schema.ValueKind is JsonValueKind.True or JsonValueKind.False)
            return schema.ValueKind == JsonValueKind.True ? _formulas.True : _formulas.False;
        if (schema.ValueKind != JsonValueKind.Object)
            throw new ConstraintException($"A schema must be an object or a boolean, not {Short(schema)}.");
        if (inside && (schema.TryGetProperty("$id", out JsonElement id) || (_oldReferences && schema.TryGetProperty("id", out id))) && id.ValueKind == JsonValueKind.String)
            throw ConstraintException.Unsupported("$id", "a schema with its own base inside of another is not supported");
        foreach (string keyword in s_refused)
        {
            if (schema.TryGetProperty(keyword, out _))
                throw ConstraintException.Unsupported(keyword, "it depends on what other schemas have evaluated");
        }

        if (_oldReferences && schema.TryGetProperty("$ref", out JsonElement only))
            return Reference(only);
        var parts = new List<Formula>();
        Types(schema, parts);
        if (schema.TryGetProperty("$ref", out JsonElement reference))
            parts.Add(Reference(reference));
        Values(schema, parts);
        Objects(schema, parts);
        Arrays(schema, parts);
        Strings(schema, parts);
        Numbers(schema, parts);
        Combinations(schema, parts);
        return _formulas.And(parts);
    }

    private Formula Reference(JsonElement pointer) =>
        _formulas.Reference(pointer.ValueKind == JsonValueKind.String ? pointer.GetString()! : throw Wrong("$ref", "a string", pointer));

    private void Types(JsonElement schema, List<Formula> parts)
    {
        if (!schema.TryGetProperty("type", out JsonElement type))
            return;
        parts.Add(_formulas.Or((type.ValueKind == JsonValueKind.Array ? [.. type.EnumerateArray()] : new[] { type }).Select(One)));

        Formula One(JsonElement name) => (name.ValueKind == JsonValueKind.String ? name.GetString() : null) switch
        {
            "null" => _formulas.Kinds(ValueKinds.Null),
            "boolean" => _formulas.Kinds(ValueKinds.True | ValueKinds.False),
            "number" => _formulas.Kinds(ValueKinds.Number),
            "integer" => _formulas.Number(_numbers.Integers),
            "string" => _formulas.Kinds(ValueKinds.String),
            "array" => _formulas.Kinds(ValueKinds.Array),
            "object" => _formulas.Kinds(ValueKinds.Object),
            _ => throw Wrong("type", "one of null, boolean, number, integer, string, array, object", name),
        };
    }

    private void Values(JsonElement schema, List<Formula> parts)
    {
        if (schema.TryGetProperty("const", out JsonElement value))
            parts.Add(Constant(value));
        if (schema.TryGetProperty("enum", out JsonElement values))
        {
            if (values.ValueKind != JsonValueKind.Array)
                throw Wrong("enum", "an array", values);
            JsonElement[] all = [.. values.EnumerateArray()];
            IEnumerable<string> texts = all.Where(v => v.ValueKind == JsonValueKind.String).Select(v => Text(v, "enum"));
            IEnumerable<Formula> others = all.Where(v => v.ValueKind != JsonValueKind.String).Select(Constant);
            parts.Add(_formulas.Or([_formulas.String(_languages.Union(texts.Select(_languages.Literal))), .. others]));
        }
    }

    private Formula Constant(JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Null:
                return _formulas.Kinds(ValueKinds.Null);
            case JsonValueKind.True:
                return _formulas.Kinds(ValueKinds.True);
            case JsonValueKind.False:
                return _formulas.Kinds(ValueKinds.False);
            case JsonValueKind.Number:
                return _formulas.Number(_numbers.Equal(ExactDecimal.Parse(value.GetRawText())));
            case JsonValueKind.String:
                return _formulas.String(_languages.Literal(Text(value, "const")));
            case JsonValueKind.Array:
                JsonElement[] items = [.. value.EnumerateArray()];
                IEnumerable<Formula> elements = items.Select((item, i) => _formulas.Elements(i, i, _formulas.Not(Constant(item)), 0, 0));
                return _formulas.And([_formulas.Kinds(ValueKinds.Array), .. elements, Length(items.Length, items.Length)]);
            default:
                JsonProperty[] members = [.. value.EnumerateObject()];
                IEnumerable<Formula> named = members.SelectMany(m => (Formula[])[Named(m.Name, Constant(m.Value)), Has(m.Name)]);
                Language others = _languages.Complement(_languages.Union(members.Select(m => _languages.Literal(m.Name))));
                return _formulas.And([_formulas.Kinds(ValueKinds.Object), .. named, _formulas.Members(others, null, _formulas.True, 0, 0)]);
        }
    }

    private void Objects(JsonElement schema, List<Formula> parts)
    {
        var named = new List<Language>();
        foreach (JsonProperty property in Entries(schema, "properties"))
        {
            named.Add(_languages.Literal(Valid(property.Name, "properties")));
            parts.Add(OnObjects(Named(property.Name, Read(property.Value))));
        }

        foreach (JsonProperty property in Entries(schema, "patternProperties"))
        {
            Language names = RegexLanguage.Search(_languages, property.Name);
            named.Add(names);
            parts.Add(OnObjects(_formulas.Members(names, null, _formulas.Not(Read(property.Value)), 0, 0)));
        }

        if (schema.TryGetProperty("additionalProperties", out JsonElement additional))
        {
            Formula value = Read(additional);
            if (value != _formulas.True)
                parts.Add(OnObjects(_formulas.Members(_languages.Complement(_languages.Union(named)), null, _formulas.Not(value), 0, 0)));
        }

        foreach (JsonElement name in Items(schema, "required"))
            parts.Add(OnObjects(Has(Valid(Text(name, "required"), "required"))));
        if (schema.TryGetProperty("propertyNames", out JsonElement names1))
            parts.Add(OnObjects(_formulas.Members(_languages.Complement(StringsOf(Read(names1))), null, _formulas.True, 0, 0)));
        if (Count(schema, "minProperties") is { } least)
            parts.Add(OnObjects(_formulas.Members(_languages.AnyText, null, _formulas.True, least, Formula.Unbounded)));
        if (Count(schema, "maxProperties") is { } most)
            parts.Add(OnObjects(_formulas.Members(_languages.AnyText, null, _formulas.True, 0, most)));
        foreach (JsonProperty entry in Entries(schema, "dependentRequired").Concat(Entries(schema, "dependentSchemas")).Concat(Entries(schema, "dependencies")))
        {
            Formula then = entry.Value.ValueKind == JsonValueKind.Array
                ? _formulas.And(entry.Value.EnumerateArray().Select(n => Has(Valid(Text(n, "dependentRequired"), "dependentRequired"))))
                : Read(entry.Value);
            parts.Add(OnObjects(_formulas.Or(_formulas.Not(Has(Valid(entry.Name, "dependentSchemas"))), then)));
        }
    }

    private void Arrays(JsonElement schema, List<Formula> parts)
    {
        string tuple = schema.TryGetProperty("items", out JsonElement items) && items.ValueKind == JsonValueKind.Array ? "items" : "prefixItems";
        int at = 0;
        foreach (JsonElement item in Items(schema, tuple))
        {
            parts.Add(OnArrays(_formulas.Elements(at, at, _formulas.Not(Read(item)), 0, 0)));
            at++;
        }

        if (schema.TryGetProperty(tuple == "items" ? "additionalItems" : "items", out JsonElement rest))
            parts.Add(OnArrays(_formulas.Elements(at, Formula.Unbounded, _formulas.Not(Read(rest)), 0, 0)));
        int? most = Count(schema, "maxItems");
        if (Count(schema, "minItems") is { } least)
            parts.Add(OnArrays(Length(least, Formula.Unbounded)));
        if (most is { } max)
            parts.Add(OnArrays(Length(0, max)));
        if (schema.TryGetProperty("contains", out JsonElement contained))
        {
            int min = Count(schema, "minContains") ?? 1;
            int bound = Count(schema, "maxContains") ?? Formula.Unbounded;
            parts.Add(OnArrays(_formulas.Elements(0, Formula.Unbounded, Read(contained), min, bound)));
        }

        if (schema.TryGetProperty("uniqueItems", out JsonElement unique) && unique.ValueKind == JsonValueKind.True && most is not (0 or 1))
            parts.Add(OnArrays(Unique(schema, rest)));
    }

    /// <summary>Elements of a short list of constants are different when each constant occurs at most once.</summary>
    private Formula Unique(JsonElement schema, JsonElement items)
    {
        if (!schema.TryGetProperty("prefixItems", out _) && items.ValueKind == JsonValueKind.Object)
        {
            JsonElement[] values = items.TryGetProperty("enum", out JsonElement list) && list.ValueKind == JsonValueKind.Array ? [.. list.EnumerateArray()] : [];
            if (values.Length is > 0 and <= 8)
                return _formulas.And(values.Select(v => _formulas.Elements(0, Formula.Unbounded, Constant(v), 0, 1)));
        }

        throw ConstraintException.Unsupported("uniqueItems", "an automaton cannot compare the elements of an array, unless 'items' is an enum of at most 8 values");
    }

    private void Strings(JsonElement schema, List<Formula> parts)
    {
        int? least = Count(schema, "minLength");
        int? most = Count(schema, "maxLength");
        if (least is > LengthLimit || most is > LengthLimit)
            throw ConstraintException.Unsupported(most is > LengthLimit ? "maxLength" : "minLength", $"lengths above {LengthLimit} make the automaton too large");
        if (least is not null || most is not null)
        {
            bool possible = most is null || most >= (least ?? 0);
            parts.Add(OnStrings(possible ? _languages.Repeat(_languages.AnyCharacter, least ?? 0, most ?? -1) : _languages.Nothing));
        }

        if (schema.TryGetProperty("pattern", out JsonElement pattern))
            parts.Add(OnStrings(RegexLanguage.Search(_languages, Text(pattern, "pattern"))));
        if (schema.TryGetProperty("format", out JsonElement format) && format.ValueKind == JsonValueKind.String && _formats.Find(format.GetString()!) is { } form)
            parts.Add(OnStrings(form));
    }

    private void Numbers(JsonElement schema, List<Formula> parts)
    {
        Bound("minimum", "exclusiveMinimum", 1);
        Bound("maximum", "exclusiveMaximum", -1);
        if (schema.TryGetProperty("multipleOf", out JsonElement step))
        {
            ExactDecimal divisor = Decimal("multipleOf", step);
            if (divisor.Negative || divisor.IsZero)
                throw Wrong("multipleOf", "a number above 0", step);
            parts.Add(OnNumbers(_numbers.MultipleOf(divisor)));
        }

        void Bound(string inclusive, string exclusive, int side)
        {
            bool strict = false;
            if (schema.TryGetProperty(exclusive, out JsonElement other))
            {
                if (other.ValueKind is JsonValueKind.True or JsonValueKind.False)
                    strict = other.ValueKind == JsonValueKind.True; // draft 4
                else
                    parts.Add(OnNumbers(_numbers.Compare(Decimal(exclusive, other), order => order == side)));
            }

            if (schema.TryGetProperty(inclusive, out JsonElement bound))
                parts.Add(OnNumbers(_numbers.Compare(Decimal(inclusive, bound), order => order == side || (order == 0 && !strict))));
        }
    }

    private void Combinations(JsonElement schema, List<Formula> parts)
    {
        foreach (JsonElement item in Items(schema, "allOf"))
            parts.Add(Read(item));
        if (schema.TryGetProperty("anyOf", out _))
            parts.Add(_formulas.Or(Items(schema, "anyOf").Select(s => Read(s))));
        if (schema.TryGetProperty("oneOf", out _))
        {
            Formula[] choices = [.. Items(schema, "oneOf").Select(s => Read(s))];
            parts.Add(_formulas.Or(choices.Select((c, i) => _formulas.And([c, .. choices.Where((_, j) => j != i).Select(_formulas.Not)]))));
        }

        if (schema.TryGetProperty("not", out JsonElement not))
            parts.Add(_formulas.Not(Read(not)));
        if (schema.TryGetProperty("if", out JsonElement condition))
        {
            Formula holds = Read(condition);
            Formula then = schema.TryGetProperty("then", out JsonElement yes) ? Read(yes) : _formulas.True;
            Formula otherwise = schema.TryGetProperty("else", out JsonElement no) ? Read(no) : _formulas.True;
            parts.Add(_formulas.Or(_formulas.And(holds, then), _formulas.And(_formulas.Not(holds), otherwise)));
        }
    }

    /// <summary>The strings that a schema for names allows.</summary>
    private Language StringsOf(Formula formula) => formula.Kind switch
    {
        FormulaKind.Kinds => formula.Kinds.HasFlag(ValueKinds.String) ? _languages.AnyText : _languages.Nothing,
        FormulaKind.String => formula.Language!,
        FormulaKind.And => _languages.Intersection(formula.Parts.Select(StringsOf)),
        FormulaKind.Or => _languages.Union(formula.Parts.Select(StringsOf)),
        FormulaKind.Not => _languages.Complement(StringsOf(formula.Parts[0])),
        FormulaKind.Reference => StringsOf(Resolve(formula.Pointer)),
        _ => _languages.Nothing,
    };

    private Formula Named(string name, Formula value) => value == _formulas.True
        ? _formulas.Members(_languages.Literal(name), name, _formulas.True, 0, Formula.Unbounded)
        : _formulas.Members(_languages.Literal(name), name, _formulas.Not(value), 0, 0);

    private Formula Has(string name) => _formulas.Members(_languages.Literal(name), name, _formulas.True, 1, Formula.Unbounded);

    private Formula Length(int min, int max) => _formulas.Elements(0, Formula.Unbounded, _formulas.True, min, max);

    private Formula OnObjects(Formula condition) => _formulas.When(ValueKinds.Object, condition);

    private Formula OnArrays(Formula condition) => _formulas.When(ValueKinds.Array, condition);

    private Formula OnStrings(Language language) => _formulas.When(ValueKinds.String, _formulas.String(language));

    private Formula OnNumbers(Language language) => _formulas.When(ValueKinds.Number, _formulas.Number(language));

    private static IEnumerable<JsonProperty> Entries(JsonElement schema, string keyword)
    {
        if (!schema.TryGetProperty(keyword, out JsonElement entries))
            return [];
        return entries.ValueKind == JsonValueKind.Object ? entries.EnumerateObject() : throw Wrong(keyword, "an object", entries);
    }

    private static IEnumerable<JsonElement> Items(JsonElement schema, string keyword)
    {
        // Draft 4 has "required": true inside of properties in the wild; it says nothing in later drafts.
        if (!schema.TryGetProperty(keyword, out JsonElement items) || (keyword == "required" && items.ValueKind is JsonValueKind.True or JsonValueKind.False))
            return [];
        return items.ValueKind == JsonValueKind.Array ? items.EnumerateArray() : throw Wrong(keyword, "an array", items);
    }

    private static int? Count(JsonElement schema, string keyword)
    {
        if (!schema.TryGetProperty(keyword, out JsonElement value))
            return null;
        ExactDecimal number = Decimal(keyword, value);
        if (number.Negative || !number.IsInteger)
            throw Wrong(keyword, "a whole number of 0 or more", value);
        return int.TryParse(number.Whole, out int count) && count < Formula.Unbounded
            ? count
            : keyword.StartsWith("max", StringComparison.Ordinal) ? null : throw ConstraintException.Unsupported(keyword, "the number is too large");
    }

    private static ExactDecimal Decimal(string keyword, JsonElement value) =>
        value.ValueKind == JsonValueKind.Number ? ExactDecimal.Parse(value.GetRawText()) : throw Wrong(keyword, "a number", value);

    private static string Text(JsonElement value, string keyword)
    {
        if (value.ValueKind != JsonValueKind.String)
            throw Wrong(keyword, "a string", value);
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw new ConstraintException($"'{keyword}': {Short(value)} holds half of a surrogate pair, which no text has.");
        }
    }

    private static string Valid(string name, string keyword) =>
        name.EnumerateRunes().Any(r => r.Value == 0xFFFD) && name.Any(char.IsSurrogate)
            ? throw new ConstraintException($"'{keyword}': a name holds half of a surrogate pair, which no text has.")
            : name;

    private static ConstraintException Wrong(string keyword, string expected, JsonElement found) =>
        new($"'{keyword}' must be {expected}, not {Short(found)}.");

    private static string Short(JsonElement value) => value.GetRawText() is { Length: > 60 } text ? text[..60] + "..." : value.GetRawText();
}
