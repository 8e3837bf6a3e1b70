using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Glimmer.Tokenization;

/// <summary>The byte-pair model: from pieces of text, as bytes, to ids.</summary>
/// <remarks>
/// A piece that is a token becomes it without merging where that gives the same id: where the tokenizer says <c>ignore_merges</c>, or where the
/// token's own merges lead to it, which is tried once for each token when it first occurs. Other pieces are merged; short ones are remembered.
/// Safe for several threads; each call works with a scratch of its own.
/// </remarks>
internal sealed class BytePairEncoder
{
    private readonly PieceTable _pieces;
    private readonly MergeTable _merges;
    private readonly int[] _byteIds;
    private readonly bool _complete;
    private readonly int _unknownId;
    private readonly bool _fuseUnknown;
    private readonly ConcurrentBag<EncoderScratch> _scratches = [];

    /// <summary>Makes an encoder.</summary>
    /// <param name="pieces">The tokens by their bytes.</param>
    /// <param name="merges">The merges.</param>
    /// <param name="byteIds">The id of each byte, [256]; -1 where the vocabulary lacks it.</param>
    /// <param name="unknownId">What a byte without a token becomes, or -1: then it is dropped, as the reference does.</param>
    /// <param name="fuseUnknown">Whether neighbouring unknown bytes become one id.</param>
    public BytePairEncoder(PieceTable pieces, MergeTable merges, int[] byteIds, int unknownId, bool fuseUnknown)
    {
        (_pieces, _merges, _byteIds, _unknownId, _fuseUnknown) = (pieces, merges, byteIds, unknownId, fuseUnknown);
        _complete = !byteIds.Contains(-1);
    }

    /// <summary>Borrows a scratch, cleared.</summary>
    public EncoderScratch Rent()
    {
        if (!_scratches.TryTake(out EncoderScratch? scratch))
            scratch = new EncoderScratch();
        scratch.Clear();
        return scratch;
    }

    /// <summary>Gives a scratch back. Only what this encoder lent: the cache inside belongs to its vocabulary.</summary>
    public void Return(EncoderScratch scratch)
    {
        scratch.Trim();
        _scratches.Add(scratch);
    }

    /// <summary>Cuts a stretch of text into pieces and appends their ids to <paramref name="scratch"/>.</summary>
    /// <typeparam name="TSplitter">The pre-tokenizer.</typeparam>
    /// <param name="text">Valid UTF-8 with <see cref="Utf8Text.Padding"/> readable bytes behind <paramref name="end"/>.</param>
    /// <param name="from">Start of the stretch.</param>
    /// <param name="end">Its end.</param>
    /// <param name="scratch">Receives the ids.</param>
    public void Encode<TSplitter>(byte[] text, int from, int end, EncoderScratch scratch)
        where TSplitter : struct, IPieceSplitter
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(end, text.Length - Utf8Text.Padding);
        ref byte start = ref MemoryMarshal.GetArrayDataReference(text);
        for (int p = from; p < end;)
        {
            int q = TSplitter.Next(ref start, p, end);
            int length = q - p;
            if (length <= PieceKey.MaxLength)
            {
                PieceKey key = PieceKey.Load(ref start, p, length);
                ref PieceTable.Slot slot = ref _pieces.Find(key, length);
                if (slot.Use == DirectUse.Yes)
                    scratch.Add(slot.Id);
                else
                    EncodeShort(text.AsSpan(p, length), key, ref slot, scratch);
            }
            else
            {
                EncodeLong(text.AsSpan(p, length), scratch);
            }

            p = q;
        }
    }

    /// <summary>The ids of one piece by merging alone, appended to <paramref name="scratch"/>.</summary>
    public void Merge(ReadOnlySpan<byte> piece, EncoderScratch scratch)
    {
        Span<int> ids = scratch.Reserve(piece.Length);
        int count;
        if (_complete && piece.Length is > 1 and <= FlatMerger.MaxSymbols)
        {
            count = scratch.Flat.MergeBytes(piece, _merges, _byteIds, ids);
        }
        else
        {
            count = Symbols(piece, ids);
            if (count > FlatMerger.MaxSymbols)
                count = scratch.Heap.Merge(ids[..count], _merges);
            else if (count > 1)
                count = scratch.Flat.Merge(ids[..count], _merges);
        }

        scratch.Advance(count);
    }

    /// <summary>A piece of at most 16 bytes that is not known to be a token.</summary>
    private void EncodeShort(ReadOnlySpan<byte> piece, PieceKey key, ref PieceTable.Slot slot, EncoderScratch scratch)
    {
        ref PieceCache.Slot cached = ref scratch.Cache.At(key, piece.Length);
        if (cached.Holds(key, piece.Length))
        {
            scratch.Add(cached.Ids);
            return;
        }

        int before = scratch.Count;
        Merge(piece, scratch);
        ReadOnlySpan<int> ids = scratch.Ids[before..];
        if (slot.Length != 0 && slot.Use == DirectUse.Unknown)
            slot.State = PieceTable.Slot.Pack(piece.Length, ids.Length == 1 && ids[0] == slot.Id ? DirectUse.Yes : DirectUse.No);
        if (ids.Length <= PieceCache.Slot.MaxIds)
            cached.Set(key, piece.Length, ids);
    }

    private void EncodeLong(ReadOnlySpan<byte> piece, EncoderScratch scratch)
    {
        if (piece.Length > _pieces.LongestToken)
        {
            Merge(piece, scratch);
            return;
        }

        ref PieceTable.LongSlot slot = ref _pieces.FindLong(piece);
        if (slot.IdPlusOne != 0 && slot.Use == DirectUse.Yes)
        {
            scratch.Add(slot.IdPlusOne - 1);
            return;
        }

        int before = scratch.Count;
        Merge(piece, scratch);
        if (slot.IdPlusOne != 0 && slot.Use == DirectUse.Unknown)
            slot.Use = scratch.Count == before + 1 && scratch.Ids[before] == slot.IdPlusOne - 1 ? DirectUse.Yes : DirectUse.No;
    }

    /// <summary>The ids of the bytes themselves.</summary>
    private int Symbols(ReadOnlySpan<byte> piece, Span<int> ids)
    {
        int count = 0;
        bool lastUnknown = false;
        foreach (byte b in piece)
        {
            int id = _byteIds[b];
            bool unknown = id < 0;
            if (unknown)
                id = _fuseUnknown && lastUnknown ? -1 : _unknownId;
            lastUnknown = unknown;
            if (id >= 0)
                ids[count++] = id;
        }

        return count;
    }
}
