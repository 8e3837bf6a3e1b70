using System.Runtime.CompilerServices;
using System.Text;

namespace Glimmer.Tokenization;

/// <summary>Collects the vocabulary and the merges of a file, and refuses what contradicts itself.</summary>
internal sealed class VocabularyBuilder
{
    private readonly string _source;
    private readonly Dictionary<string, int> _unspellable = [];
    private Merge[] _merges = new Merge[1024];
    private int _mergeCount;
    private byte[] _spelling = new byte[1024];
    private PieceTable? _pieces;

    /// <summary>Starts a vocabulary of about <paramref name="expected"/> tokens; <paramref name="source"/> names the file in messages.</summary>
    public VocabularyBuilder(string source, int expected)
    {
        _source = source;
        Tokens = new TokenStore(expected);
    }

    /// <summary>The tokens so far.</summary>
    public TokenStore Tokens { get; }

    /// <summary>Tokens whose spelling is outside the byte alphabet.</summary>
    public IReadOnlyDictionary<string, int> Unspellable => _unspellable;

    /// <summary>The merges so far.</summary>
    public Merge[] Merges => _merges[.._mergeCount];

    /// <summary>The tokens by their bytes; complete when the first merge is added or this is first read.</summary>
    public PieceTable Pieces => _pieces ??= BuildPieces();

    /// <summary>Adds the token of an id, spelled as in the file.</summary>
    /// <param name="id">The id.</param>
    /// <param name="spelled">Its spelling, valid UTF-8.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Add(long id, ReadOnlySpan<byte> spelled)
    {
        CheckId(id, spelled);
        if (spelled.IsEmpty)
            throw new ModelFormatException($"{_source}: the token of id {id} is empty.");
        if (Tokens.Flags((int)id) != TokenFlags.None)
            throw new ModelFormatException($"{_source}: id {id} has two tokens, '{TextOf((int)id)}' and '{Encoding.UTF8.GetString(spelled)}'.");
        if (_spelling.Length < spelled.Length)
            _spelling = new byte[2 * spelled.Length];
        if (ByteAlphabet.TryRead(spelled, _spelling, out int count))
        {
            Tokens.Set((int)id, _spelling.AsSpan(0, count), TokenFlags.Exists | TokenFlags.Bytes);
            return;
        }

        if (!_unspellable.TryAdd(Encoding.UTF8.GetString(spelled), (int)id))
            throw new ModelFormatException($"{_source}: the token '{Encoding.UTF8.GetString(spelled)}' occurs twice in the vocabulary.");
        Tokens.Set((int)id, spelled, TokenFlags.Exists);
    }

    /// <summary>Marks a token as added, or adds one that is not in the vocabulary.</summary>
    /// <param name="token">The token.</param>
    /// <param name="decoded">What it is when decoded: its text, normalised where the token is.</param>
    public void Add(AddedToken token, string decoded)
    {
        CheckId(token.Id, Encoding.UTF8.GetBytes(token.Text));
        TokenFlags flags = TokenFlags.Added | (token.IsSpecial ? TokenFlags.Special : 0);
        int known = IdOf(token.Text);
        if (known >= 0 && known != token.Id)
            throw new ModelFormatException($"{_source}: the added token '{token.Text}' has id {token.Id}, but the vocabulary gives it id {known}.");
        TokenFlags old = Tokens.Flags(token.Id);
        if (old != TokenFlags.None && known != token.Id)
            throw new ModelFormatException($"{_source}: the added token '{token.Text}' claims id {token.Id}, which is '{TextOf(token.Id)}'.");
        if (old != TokenFlags.None)
        {
            Tokens.Mark(token.Id, flags);
            return;
        }

        // The reference decodes an added token whose characters all belong to the byte alphabet as those bytes.
        byte[] bytes = new byte[decoded.Length];
        Tokens.Set(token.Id, ByteAlphabet.TryRead(decoded, bytes) ? bytes : Encoding.UTF8.GetBytes(decoded), TokenFlags.Exists | flags);
    }

    /// <summary>Adds the next merge, its parts spelled as in the file.</summary>
    /// <param name="left">Left part, valid UTF-8.</param>
    /// <param name="right">Right part, valid UTF-8.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void AddMerge(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        int most = left.Length + right.Length;
        if (_spelling.Length < most)
            _spelling = new byte[2 * most];
        if (ByteAlphabet.TryRead(left, _spelling, out int leftCount) && ByteAlphabet.TryRead(right, _spelling.AsSpan(leftCount), out int rightCount))
        {
            AddMerge(Pieces.IdOf(_spelling.AsSpan(0, leftCount)), Pieces.IdOf(_spelling.AsSpan(leftCount, rightCount)),
                Pieces.IdOf(_spelling.AsSpan(0, leftCount + rightCount)), left, right);
            return;
        }

        (string leftText, string rightText) = (Encoding.UTF8.GetString(left), Encoding.UTF8.GetString(right));
        AddMerge(IdOf(leftText), IdOf(rightText), IdOf(leftText + rightText), left, right);
    }

    /// <summary>The id of a token by its spelling, or -1. Added tokens that are not in the vocabulary are unknown here.</summary>
    public int IdOf(string spelled)
    {
        if (_unspellable.TryGetValue(spelled, out int id))
            return id;
        var bytes = new byte[spelled.Length];
        return ByteAlphabet.TryRead(spelled, bytes) ? Pieces.IdOf(bytes) : -1;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void AddMerge(int left, int right, int result, ReadOnlySpan<byte> leftText, ReadOnlySpan<byte> rightText)
    {
        if ((left | right | result) < 0 || _mergeCount == MergeTable.MaxMerges)
            ThrowMerge(left, right, leftText, rightText);
        if (_mergeCount == _merges.Length)
            Array.Resize(ref _merges, 2 * _mergeCount);
        _merges[_mergeCount++] = new Merge(left, right, result);
    }

    private void ThrowMerge(int left, int right, ReadOnlySpan<byte> leftText, ReadOnlySpan<byte> rightText)
    {
        if (_mergeCount == MergeTable.MaxMerges)
            throw new UnsupportedModelException($"{_source}: more than {MergeTable.MaxMerges} merges are not supported.");
        (string l, string r) = (Encoding.UTF8.GetString(leftText), Encoding.UTF8.GetString(rightText));
        throw new ModelFormatException(
            $"{_source}: merge {_mergeCount} ('{l}' + '{r}') names '{(left < 0 ? l : right < 0 ? r : l + r)}', which is not in the vocabulary.");
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private PieceTable BuildPieces()
    {
        int shortCount = 0, longCount = 0;
        for (int id = 0; id < Tokens.Count; id++)
        {
            if ((Tokens.Flags(id) & TokenFlags.Bytes) == 0)
                continue;
            if (Tokens[id].Length <= PieceKey.MaxLength)
                shortCount++;
            else
                longCount++;
        }

        var pieces = new PieceTable(Tokens, shortCount, longCount);
        for (int id = 0; id < Tokens.Count; id++)
        {
            TokenFlags flags = Tokens.Flags(id);
            if ((flags & TokenFlags.Bytes) == 0)
                continue;
            if (!pieces.TryAdd(id, (flags & TokenFlags.Added) == 0 ? DirectUse.Unknown : DirectUse.No))
                throw new ModelFormatException($"{_source}: ids {pieces.IdOf(Tokens[id])} and {id} have the same token '{TextOf(id)}'.");
        }

        return pieces;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void CheckId(long id, ReadOnlySpan<byte> spelled)
    {
        if ((ulong)id >= TokenStore.MaxIds)
            ThrowId(id, spelled);
    }

    private void ThrowId(long id, ReadOnlySpan<byte> spelled)
    {
        if (id < 0)
            throw new ModelFormatException($"{_source}: the token '{Encoding.UTF8.GetString(spelled)}' has the negative id {id}.");
        throw new UnsupportedModelException(
            $"{_source}: the token '{Encoding.UTF8.GetString(spelled)}' has id {id}; ids of {TokenStore.MaxIds} and above are not supported.");
    }

    private string TextOf(int id) =>
        (Tokens.Flags(id) & TokenFlags.Bytes) != 0 ? ByteAlphabet.Spell(Tokens[id]) : Encoding.UTF8.GetString(Tokens[id]);
}
