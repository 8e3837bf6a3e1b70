using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace Glimmer.Tokenization;

/// <summary>Reads a <c>tokenizer.json</c> of Hugging Face's tokenizers that describes byte-level BPE.</summary>
/// <remarks>
/// The vocabulary and the merges, which are nearly all of the file, are read token by token straight from UTF-8; the small rest goes
/// through <see cref="JsonElement"/>. Keys the library ignores are ignored; types and values that are not understood are refused by name.
/// </remarks>
internal ref struct TokenizerJsonReader
{
    private readonly string _source;
    private readonly ReadOnlySpan<byte> _json;
    private readonly Dictionary<string, JsonElement> _parts = [];
    private readonly Dictionary<string, JsonElement> _model = [];
    private VocabularyBuilder? _vocabulary;
    private long _laterMerges = -1;
    private bool _hasMerges;

    private TokenizerJsonReader(ReadOnlySpan<byte> json, string source)
    {
        _json = json;
        _source = source;
    }

    /// <summary>Reads a file.</summary>
    /// <param name="json">Its content.</param>
    /// <param name="source">Its name for messages.</param>
    public static TokenizerDefinition Read(ReadOnlySpan<byte> json, string source)
    {
        if (json.IsEmpty)
            throw new ModelFormatException($"{source} is empty; expected a tokenizer.json. The download may be incomplete.");
        if (!Utf8.IsValid(json))
            throw new ModelFormatException($"{source} is not valid UTF-8.");
        try
        {
            var reader = new TokenizerJsonReader(json, source);
            reader.ReadFile();
            return reader.Build();
        }
        catch (JsonException e)
        {
            throw new ModelFormatException($"{source} is not valid JSON: {e.Message} The download may be incomplete.", e);
        }
        catch (Exception e) when (e is InvalidOperationException or FormatException)
        {
            throw new ModelFormatException($"{source} holds text that is not valid Unicode or a value of an unexpected type: {e.Message}", e);
        }
    }

    private void ReadFile()
    {
        var reader = new Utf8JsonReader(_json);
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new ModelFormatException($"{_source}: expected a JSON object.");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            reader.Read();
            if (key == "model" && reader.TokenType == JsonTokenType.StartObject)
                ReadModel(ref reader);
            else
                _parts[key] = JsonElement.ParseValue(ref reader);
        }

        while (reader.Read())
        {
            // Anything behind the object throws here.
        }
    }

    private void ReadModel(ref Utf8JsonReader reader)
    {
        if (_vocabulary is not null)
            throw new ModelFormatException($"{_source}: 'model' occurs twice.");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string key = reader.GetString()!;
            reader.Read();
            if (key == "type" && reader.TokenType == JsonTokenType.String && reader.GetString() is string type && type != "BPE")
                throw new UnsupportedModelException($"{_source}: model type '{type}' is not supported; only BPE over bytes is.");
            if (key == "vocab")
            {
                ReadVocabulary(ref reader);
            }
            else if (key == "merges" && _vocabulary is null)
            {
                _laterMerges = reader.TokenStartIndex;
                reader.Skip();
            }
            else if (key == "merges")
            {
                ReadMerges(ref reader);
            }
            else
            {
                _model[key] = JsonElement.ParseValue(ref reader);
            }
        }

        if (_vocabulary is null)
            throw new ModelFormatException($"{_source}: the model has no vocabulary ('model.vocab').");
        if (_laterMerges < 0)
            return;
        var later = new Utf8JsonReader(_json[(int)_laterMerges..]);
        later.Read();
        ReadMerges(ref later);
    }

    private void ReadVocabulary(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new ModelFormatException($"{_source}: 'model.vocab' must be an object from token to id.");
        if (_vocabulary is not null)
            throw new ModelFormatException($"{_source}: 'model.vocab' occurs twice.");
        _vocabulary = new VocabularyBuilder(_source, Math.Min(_json.Length / 64, 200_000));
        var buffer = new byte[512];
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            ReadOnlySpan<byte> token = Text(ref reader, buffer);
            reader.Read();
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out long id))
                throw new ModelFormatException($"{_source}: the id of token '{Encoding.UTF8.GetString(token)}' is not an integer.");
            _vocabulary.Add(id, token);
        }
    }

    private void ReadMerges(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartArray)
            throw new ModelFormatException($"{_source}: 'model.merges' must be a list.");
        if (_hasMerges)
            throw new ModelFormatException($"{_source}: 'model.merges' occurs twice.");
        _hasMerges = true;
        VocabularyBuilder vocabulary = _vocabulary!;
        byte[] left = new byte[512], right = new byte[512];
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType == JsonTokenType.String)
            {
                ReadOnlySpan<byte> merge = Text(ref reader, left);
                int space = merge.IndexOf((byte)' ');
                if (space <= 0 || space == merge.Length - 1 || merge[(space + 1)..].Contains((byte)' '))
                    throw new ModelFormatException($"{_source}: the merge '{Encoding.UTF8.GetString(merge)}' is not two tokens with a space between.");
                vocabulary.AddMerge(merge[..space], merge[(space + 1)..]);
                continue;
            }

            bool isPair = reader.TokenType == JsonTokenType.StartArray && reader.Read() && reader.TokenType == JsonTokenType.String;
            ReadOnlySpan<byte> first = isPair ? Text(ref reader, left) : default;
            isPair = isPair && reader.Read() && reader.TokenType == JsonTokenType.String;
            ReadOnlySpan<byte> second = isPair ? Text(ref reader, right) : default;
            if (!isPair || !reader.Read() || reader.TokenType != JsonTokenType.EndArray)
                throw new ModelFormatException($"{_source}: a merge is neither a string 'left right' nor a pair of strings.");
            vocabulary.AddMerge(first, second);
        }
    }

    /// <summary>The string the reader stands on, without escapes; in <paramref name="buffer"/> or larger memory when it has any.</summary>
    private static ReadOnlySpan<byte> Text(ref Utf8JsonReader reader, byte[] buffer)
    {
        if (!reader.ValueIsEscaped)
            return reader.ValueSpan;
        if (reader.ValueSpan.Length > buffer.Length)
            buffer = new byte[reader.ValueSpan.Length];
        return buffer.AsSpan(0, reader.CopyString(buffer));
    }

    private readonly TokenizerDefinition Build()
    {
        var settings = new TokenizerJsonSettings(_source, _parts, _model);
        settings.CheckFile();
        if (_vocabulary is null)
            throw new ModelFormatException($"{_source} has no 'model'.");
        settings.CheckModel();
        PieceTable pieces = _vocabulary.Pieces;
        if (settings.IgnoresMerges)
            pieces.AllowDirectUse();
        IReadOnlyList<AddedToken> added = settings.ReadAddedTokens();
        bool nfc = settings.ReadNormalizer();
        foreach (AddedToken token in added)
            _vocabulary.Add(token, nfc && token.Normalized ? Nfc.Normalize(token.Text) : token.Text);
        (PreTokenizer splitter, bool prefixSpace) = settings.ReadPreTokenizer();
        (int[] prefix, int[] suffix) = settings.ReadPostProcessor(_vocabulary.Tokens);
        settings.CheckDecoder();
        return new TokenizerDefinition
        {
            Tokens = _vocabulary.Tokens,
            Pieces = pieces,
            Merges = _vocabulary.Merges,
            Unspellable = _vocabulary.Unspellable,
            AddedTokens = added,
            PreTokenizer = splitter,
            AddsPrefixSpace = prefixSpace,
            NormalizesNfc = nfc,
            IgnoresMerges = settings.IgnoresMerges,
            UnknownId = settings.UnknownId(_vocabulary),
            FusesUnknown = settings.FusesUnknown,
            Prefix = prefix,
            Suffix = suffix,
        };
    }
}
