namespace Glimmer.Tokenization;

/// <summary>From text to ids: added tokens are cut out, the rest is normalised, cut into pieces and merged.</summary>
/// <remarks>The order and the corner cases are those of <c>AddedVocabulary</c> and <c>TokenizerImpl</c> in Hugging Face's tokenizers.</remarks>
internal sealed class TextPipeline
{
    private readonly PreTokenizer _splitter;
    private readonly bool _normalize;
    private readonly bool _prefixSpace;
    private readonly AddedTokenMatcher _raw;
    private readonly AddedTokenMatcher _normalized;
    private readonly BytePairEncoder _full;
    private readonly Lazy<BytePairEncoder> _plain;

    /// <summary>Makes the pipeline of a tokenizer.</summary>
    /// <param name="definition">The tokenizer.</param>
    /// <param name="full">The model that may produce every id.</param>
    /// <param name="plain">The model that produces no added token; the same object where the two agree.</param>
    public TextPipeline(TokenizerDefinition definition, BytePairEncoder full, Lazy<BytePairEncoder> plain)
    {
        (_splitter, _normalize, _prefixSpace) = (definition.PreTokenizer, definition.NormalizesNfc, definition.AddsPrefixSpace);
        (_full, _plain) = (full, plain);
        _raw = new AddedTokenMatcher(definition.AddedTokens.Where(t => !t.Normalized), t => t.Text);
        _normalized = new AddedTokenMatcher(definition.AddedTokens.Where(t => t.Normalized), t => _normalize ? Nfc.Normalize(t.Text) : t.Text);
    }

    /// <summary>The model a kind of matching works with; it lends the scratch for <see cref="Run"/>.</summary>
    public BytePairEncoder Model(AddedTokenMatching matching) => matching == AddedTokenMatching.None ? _plain.Value : _full;

    /// <summary>The model for segments of which some are not trusted.</summary>
    public BytePairEncoder PlainModel => _plain.Value;

    /// <summary>Encodes the text of <paramref name="scratch"/>.</summary>
    /// <param name="model">The model that lent the scratch.</param>
    /// <param name="scratch">Holds the text; receives the ids.</param>
    /// <param name="matching">Which added tokens are looked for in trusted text.</param>
    /// <param name="trusted">The ranges of the text in which they are looked for, ascending and apart; null: everywhere.</param>
    public void Run(BytePairEncoder model, EncoderScratch scratch, AddedTokenMatching matching, List<(int From, int To)>? trusted)
    {
        var call = new Call(model, scratch, matching, trusted ?? [(0, scratch.TextLength)]);
        if (matching == AddedTokenMatching.None)
            EncodeStretch(call, 0, scratch.TextLength);
        else
            CutOutRaw(call);
    }

    private void CutOutRaw(Call call)
    {
        byte[] text = call.Scratch.Text;
        int length = call.Scratch.TextLength, done = 0;
        foreach ((int from, int to) in call.Trusted)
        {
            int at = from;
            while (Next(_raw, call, text, 0, length, ref at, to, done, out int start, out int end) is AddedToken token)
            {
                EncodeStretch(call, done, start);
                call.Scratch.Add(token.Id);
                done = end;
            }
        }

        EncodeStretch(call, done, length);
    }

    /// <summary>A stretch without <c>normalized=false</c> tokens: normalise, cut out the others.</summary>
    private void EncodeStretch(Call call, int from, int to)
    {
        if (from >= to)
            return;
        byte[] text = call.Scratch.Text;
        bool rewritten = false;
        if (_normalize && !Nfc.IsSurelyNormalized(text.AsSpan(from, to - from)))
        {
            byte[] normal = Nfc.Normalize(text.AsSpan(from, to - from));
            rewritten = true;
            text = new byte[normal.Length + Utf8Text.Padding];
            normal.CopyTo(text, 0);
            (from, to) = (0, normal.Length);
        }

        if (_normalized.IsEmpty || call.Matching == AddedTokenMatching.None)
        {
            EncodePlain(call, text, from, to);
            return;
        }

        // Positions of a rewritten stretch say nothing about who wrote it: then tokens are looked for only when all of the text is trusted.
        bool whole = call.Trusted is [(0, int end)] && end == call.Scratch.TextLength;
        List<(int From, int To)> trusted = !rewritten ? call.Trusted : whole ? [(from, to)] : [];
        int done = from;
        foreach ((int first, int last) in trusted)
        {
            int at = Math.Max(first, from), limit = Math.Min(last, to);
            while (Next(_normalized, call, text, from, to, ref at, limit, done, out int start, out int stop) is AddedToken token)
            {
                EncodePlain(call, text, done, start);
                call.Scratch.Add(token.Id);
                done = stop;
            }
        }

        EncodePlain(call, text, done, to);
    }

    /// <summary>The next match that counts, with the white space it swallows.</summary>
    /// <param name="matcher">The tokens.</param>
    /// <param name="call">The call.</param>
    /// <param name="text">The text.</param>
    /// <param name="from">Start of the context that <c>single_word</c> and white space look at.</param>
    /// <param name="to">Its end.</param>
    /// <param name="at">Where to search; moves behind the match itself, not behind the white space it swallows.</param>
    /// <param name="limit">Matches end at or before this.</param>
    /// <param name="done">White space before this was taken already.</param>
    /// <param name="start">Start of what is cut out.</param>
    /// <param name="end">End of what is cut out.</param>
    private static AddedToken? Next(
        AddedTokenMatcher matcher, Call call, byte[] text, int from, int to, ref int at, int limit, int done, out int start, out int end)
    {
        ReadOnlySpan<byte> bytes = text;
        while (matcher.Find(bytes, at, limit, out start, out end) is AddedToken token)
        {
            at = end;
            if (token.IsSpecial && call.Matching == AddedTokenMatching.NonSpecial)
                continue;
            if (token.SingleWord && (start > from && IsWordBefore(text, start) || end < to && IsWordAt(text, end)))
                continue;
            if (token.LStrip)
                start = Math.Max(done, StartOfSpaceBefore(text, from, start));
            if (token.RStrip)
                end = EndOfSpaceAt(text, end, to);
            return token;
        }

        return null;
    }

    private static bool IsWordAt(byte[] text, int p) => UnicodeClasses.IsWordCharacter(Utf8Text.CodePointAt(ref text[0], p, out _));

    private static bool IsWordBefore(byte[] text, int p) => IsWordAt(text, Utf8Text.StartOfLast(text, p));

    private static int StartOfSpaceBefore(byte[] text, int from, int p)
    {
        while (p > from && Utf8Text.StartOfLast(text, p) is int before && UnicodeClasses.IsWhiteSpace(Utf8Text.CodePointAt(ref text[0], before, out _)))
            p = before;
        return p;
    }

    private static int EndOfSpaceAt(byte[] text, int p, int to)
    {
        while (p < to && UnicodeClasses.IsWhiteSpace(Utf8Text.CodePointAt(ref text[0], p, out int length)))
            p += length;
        return p;
    }

    /// <summary>A stretch without any added tokens.</summary>
    private void EncodePlain(Call call, byte[] text, int from, int to)
    {
        if (from >= to)
            return;
        if (_prefixSpace && text[from] != ' ')
        {
            int length = to - from;
            byte[] stage = call.Scratch.Stage(length + 1);
            stage[0] = (byte)' ';
            text.AsSpan(from, length).CopyTo(stage.AsSpan(1));
            (text, from, to) = (stage, 0, length + 1);
        }

        switch (_splitter)
        {
            case PreTokenizer.Glm:
                call.Model.Encode<GlmSplitter>(text, from, to, call.Scratch);
                break;
            case PreTokenizer.Qwen2:
                call.Model.Encode<Qwen2Splitter>(text, from, to, call.Scratch);
                break;
            case PreTokenizer.Gpt2:
                call.Model.Encode<Gpt2Splitter>(text, from, to, call.Scratch);
                break;
            case PreTokenizer.DigitsGpt2:
                call.Model.Encode<DigitsGpt2Splitter>(text, from, to, call.Scratch);
                break;
            default:
                call.Model.Encode<DigitRunsGpt2Splitter>(text, from, to, call.Scratch);
                break;
        }
    }

    private readonly record struct Call(
        BytePairEncoder Model, EncoderScratch Scratch, AddedTokenMatching Matching, List<(int From, int To)> Trusted);
}
