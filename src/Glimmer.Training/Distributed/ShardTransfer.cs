using System.Buffers;
using System.Runtime.InteropServices;

namespace Glimmer.Training.Distributed;

/// <summary>Moves tensors between the ranks that own them and the others, piece by piece, so that the buffers stay small.</summary>
/// <param name="ranks">The ranks.</param>
/// <param name="lengths">Numbers of each rank's share, [Size].</param>
/// <param name="pieceFloats">Most numbers of a rank's share that move at once; null for what fits into buffers of 64 MiB.</param>
internal sealed class ShardTransfer(Communicator ranks, IReadOnlyList<long> lengths, int? pieceFloats = null)
{
    private const int BufferFloats = 16 << 20; // of an exchange with all ranks, sent and received each

    private readonly int _piece = (int)Math.Min(pieceFloats ?? Math.Max(1 << 14, BufferFloats / ranks.Size), Math.Max(1, lengths.Max()));
    private readonly int[] _sent = new int[ranks.Size];
    private readonly int[] _received = new int[ranks.Size];

    /// <summary>
    /// Each owner gets its share of the tensors of the ranks 0 to <paramref name="contributors"/> - 1 and adds them to <paramref name="sum"/> in the order of the ranks.
    /// </summary>
    /// <param name="shares">This rank's tensors, by the rank that owns their sum.</param>
    /// <param name="contributors">Ranks that have something to add.</param>
    /// <param name="sum">The running sum of this rank's share.</param>
    /// <param name="starts">Whether the sum starts here: the first summand is stored.</param>
    public void AddInOrder(IReadOnlyList<FlatTensors> shares, int contributors, FlatTensors sum, bool starts) => Run(ranks.Size, contributors, (first, outgoing, incoming) =>
    {
        int used = 0;
        for (int owner = 0; owner < ranks.Size; owner++)
        {
            int count = ranks.Rank < contributors ? CountAt(owner, first) : 0;
            shares[owner].Read(first, outgoing.AsSpan(used, count));
            used += count;
            _sent[owner] = count * sizeof(float);
        }

        int own = CountAt(ranks.Rank, first);
        for (int rank = 0; rank < ranks.Size; rank++)
            _received[rank] = rank < contributors ? own * sizeof(float) : 0;
        ranks.AllToAll(Bytes(outgoing, used), _sent, Bytes(incoming, own * contributors), _received);
        for (int rank = 0; rank < contributors; rank++)
        {
            if (starts && rank == 0)
                sum.Write(first, incoming.AsSpan(0, own));
            else
                sum.Add(first, incoming.AsSpan(rank * own, own));
        }
    });

    /// <summary>Every rank gets the tensors of all owners.</summary>
    /// <param name="shares">This rank's tensors, by owner; what it does not own is overwritten.</param>
    public void Share(IReadOnlyList<FlatTensors> shares) => Run(1, ranks.Size, (first, outgoing, incoming) =>
    {
        (int own, int total) = ReadOwn(shares[ranks.Rank], first, outgoing);
        ranks.AllGather(Bytes(outgoing, own), Bytes(incoming, total), _received);
        for (int owner = 0, at = 0; owner < ranks.Size; at += CountAt(owner++, first))
        {
            if (owner != ranks.Rank)
                shares[owner].Write(first, incoming.AsSpan(at, CountAt(owner, first)));
        }
    });

    /// <summary>The root gets the tensors of all owners.</summary>
    /// <param name="own">This rank's tensors.</param>
    /// <param name="whole">Where the root puts those of each rank; null on other ranks.</param>
    public void Collect(FlatTensors own, IReadOnlyList<FlatTensors>? whole) => Run(1, ranks.IsRoot ? ranks.Size : 0, (first, outgoing, incoming) =>
    {
        (int count, int total) = ReadOwn(own, first, outgoing);
        ranks.Gather(Bytes(outgoing, count), Bytes(incoming, ranks.IsRoot ? total : 0), _received);
        for (int owner = 0, at = 0; owner < ranks.Size && whole is not null; at += CountAt(owner++, first))
            whole[owner].Write(first, incoming.AsSpan(at, CountAt(owner, first)));
    });

    private void Run(int outgoingPieces, int incomingPieces, Action<long, float[], float[]> piece)
    {
        float[] outgoing = ArrayPool<float>.Shared.Rent(checked(outgoingPieces * _piece)), incoming = ArrayPool<float>.Shared.Rent(checked(incomingPieces * _piece));
        try
        {
            for (long first = 0; first < lengths.Max(); first += _piece)
                piece(first, outgoing, incoming);
        }
        finally
        {
            ArrayPool<float>.Shared.Return(outgoing);
            ArrayPool<float>.Shared.Return(incoming);
        }
    }

    private (int Own, int Total) ReadOwn(FlatTensors tensors, long first, float[] outgoing)
    {
        int total = 0;
        for (int owner = 0; owner < ranks.Size; owner++)
        {
            _received[owner] = CountAt(owner, first) * sizeof(float);
            total += CountAt(owner, first);
        }

        int own = CountAt(ranks.Rank, first);
        tensors.Read(first, outgoing.AsSpan(0, own));
        return (own, total);
    }

    private int CountAt(int owner, long first) => (int)Math.Clamp(lengths[owner] - first, 0, _piece);

    private static Span<byte> Bytes(float[] buffer, int count) => MemoryMarshal.AsBytes(buffer.AsSpan(0, count));
}
