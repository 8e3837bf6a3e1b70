using System.Text.Json;

namespace Glimmer.Inference.Constraints;

/// <summary>Compiles JSON Schema.</summary>
internal static class JsonSchema
{
    private const int MaxDepth = 256;

    /// <summary>The grammar of the texts that are JSON values valid under a schema.</summary>
    public static Grammar Compile(string schema, JsonSchemaOptions options)
    {
        using JsonDocument document = Parse(schema);
        var builder = new GrammarBuilder();
        int rule = AddRule(builder, new LanguageArena(), document.RootElement, options);
        return rule < 0 ? throw NoValue() : Grammar.Build(builder, rule);
    }

    /// <summary>Adds the rule of a schema's values to a grammar; -1 when there are none.</summary>
    public static int AddRule(GrammarBuilder builder, LanguageArena languages, JsonElement schema, JsonSchemaOptions options)
    {
        ValueGrammar values = Values(builder, languages, schema, options, out Formula root);
        int rule = values.Rule(root);
        values.Finish();
        return rule;
    }

    /// <summary>Reads a schema into a writer of values.</summary>
    /// <param name="builder">The grammar to write to.</param>
    /// <param name="languages">Terms.</param>
    /// <param name="schema">The schema.</param>
    /// <param name="options">How the JSON may be written.</param>
    /// <param name="root">The condition of the whole schema.</param>
    /// <param name="surroundings">Strings that may be written at all; null for every string.</param>
    public static ValueGrammar Values(
        GrammarBuilder builder, LanguageArena languages, JsonElement schema, JsonSchemaOptions options, out Formula root, StringSurroundings? surroundings = null)
    {
        var formulas = new FormulaArena();
        var numbers = new NumberLanguages(languages);
        var reader = new SchemaReader(schema, formulas, languages, numbers);
        root = reader.Root();
        return new ValueGrammar(builder, languages, formulas, numbers, reader, options, surroundings);
    }

    private static ConstraintException NoValue() => new("No value satisfies the schema.");

    /// <summary>Parses a schema.</summary>
    /// <exception cref="ConstraintException">It is not JSON.</exception>
    public static JsonDocument Parse(string schema)
    {
        try
        {
            return JsonDocument.Parse(schema, new JsonDocumentOptions { MaxDepth = MaxDepth });
        }
        catch (JsonException e)
        {
            throw new ConstraintException($"The schema is not JSON: {e.Message}");
        }
    }
}
