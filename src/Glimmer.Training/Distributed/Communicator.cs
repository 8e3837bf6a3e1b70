using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Glimmer.Training.Distributed;

/// <summary>The ranks of a distributed run and what they exchange. Rank 0 is the root: it alone writes logs and checkpoints.</summary>
/// <remarks>
/// <para>Every exchange is collective: all ranks make the same calls in the same order, each from one thread. Exchanges move bytes and never add numbers; whoever receives adds them, in an
/// order that is written down (docs/adr/0005-order-of-distributed-sums.md), so that no sum depends on the number of ranks or on the library beneath.</para>
/// <para>Work that may fail on one rank alone runs inside <see cref="Together(Action)"/>, so that all ranks end with the same error instead of waiting for one another.</para>
/// </remarks>
public abstract class Communicator : IDisposable
{
    private const string SizeVariable = "OMPI_COMM_WORLD_SIZE";

    /// <summary>The communicator of a program that runs alone.</summary>
    public static Communicator Single { get; } = new SingleProcess();

    /// <summary>Number of ranks that <c>mpirun</c> started this program as; 1 when it did not.</summary>
    public static int Launched =>
        int.TryParse(Environment.GetEnvironmentVariable(SizeVariable), NumberStyles.None, CultureInfo.InvariantCulture, out int size) && size > 1 ? size : 1;

    /// <summary>This process's number, from 0.</summary>
    public abstract int Rank { get; }

    /// <summary>Number of ranks.</summary>
    public abstract int Size { get; }

    /// <summary>Whether this is rank 0.</summary>
    public bool IsRoot => Rank == 0;

    /// <summary>Whether an error ended a call on all ranks alike, so that no rank waits for another.</summary>
    public bool FailedTogether { get; private set; }

    /// <summary>Joins the ranks that <c>mpirun</c> of Open MPI started, or <see cref="Single"/> when it did not start this program, or only once.</summary>
    /// <exception cref="CommunicatorException">Open MPI's library is missing, is another MPI, or fails.</exception>
    public static Communicator Open() => Launched > 1 ? MpiCommunicator.Start(Launched) : Single;

    /// <summary>Sends a part to every rank and receives one from every rank.</summary>
    /// <param name="send">The parts for rank 0, 1, ..., back to back.</param>
    /// <param name="sendCounts">Bytes of each, [Size].</param>
    /// <param name="receive">The parts of rank 0, 1, ..., back to back. Does not overlap <paramref name="send"/>.</param>
    /// <param name="receiveCounts">Bytes of each, [Size]; what the other rank sends to this one.</param>
    /// <exception cref="CommunicatorException">Another rank has ended.</exception>
    public abstract void AllToAll(ReadOnlySpan<byte> send, ReadOnlySpan<int> sendCounts, Span<byte> receive, ReadOnlySpan<int> receiveCounts);

    /// <summary>Gives every rank the parts of all ranks.</summary>
    /// <param name="own">This rank's part.</param>
    /// <param name="all">The parts of rank 0, 1, ..., back to back. Does not overlap <paramref name="own"/>.</param>
    /// <param name="counts">Bytes of each, [Size]; the same on every rank.</param>
    /// <exception cref="CommunicatorException">Another rank has ended.</exception>
    public abstract void AllGather(ReadOnlySpan<byte> own, Span<byte> all, ReadOnlySpan<int> counts);

    /// <summary>Gives the root the parts of all ranks.</summary>
    /// <param name="own">This rank's part.</param>
    /// <param name="all">As for <see cref="AllGather(ReadOnlySpan{byte}, Span{byte}, ReadOnlySpan{int})"/>; may be empty on other ranks.</param>
    /// <param name="counts">Bytes of each, [Size]; the same on every rank.</param>
    /// <exception cref="CommunicatorException">Another rank has ended.</exception>
    public abstract void Gather(ReadOnlySpan<byte> own, Span<byte> all, ReadOnlySpan<int> counts);

    /// <summary>Ends the other ranks at once, because this one cannot go on and they wait for it. MPI ends this process too.</summary>
    /// <param name="exitCode">Exit code of the run.</param>
    public abstract void Abort(int exitCode);

    /// <summary>Gives every rank numbers of all ranks, as many as each one has.</summary>
    public double[][] AllGather(ReadOnlySpan<double> own) =>
        [.. AllGatherBytes(MemoryMarshal.AsBytes(own)).Select(part => MemoryMarshal.Cast<byte, double>(part).ToArray())];

    /// <summary>Gives every rank a text of each rank.</summary>
    public string[] AllGather(string own) => [.. AllGatherBytes(Encoding.UTF8.GetBytes(own)).Select(Encoding.UTF8.GetString)];

    /// <summary>Whether it holds on any rank.</summary>
    public bool Any(bool own)
    {
        if (Size == 1)
            return own;
        Span<byte> all = Size <= 1024 ? stackalloc byte[Size] : new byte[Size];
        AllGather([own ? (byte)1 : (byte)0], all, Ones());
        return all.Contains((byte)1);
    }

    /// <summary>Runs work on every rank, then learns whether it went well on all.</summary>
    /// <param name="work">The work. It may exchange data if a failure in the middle comes on all ranks alike.</param>
    /// <exception cref="RankFailedException">It failed on another rank. The lowest rank that failed throws its own error.</exception>
    public void Together(Action work) => Together(() =>
    {
        work();
        return true;
    });

    /// <summary>As <see cref="Together(Action)"/>, with a result.</summary>
    public T Together<T>(Func<T> work)
    {
        if (Size == 1)
            return work();
        T result = default!;
        Exception? error = null;
        try
        {
            result = work();
        }
        catch (Exception e) when (e is RankFailedException or not CommunicatorException)
        {
            error = e;
        }

        if (!Any(error is not null))
            return result;
        FailedTogether = true;
        (result as IDisposable)?.Dispose();
        // An error of another rank, found inside the work, is told by that rank.
        string[] messages = AllGather(error is null or RankFailedException ? "" : $"{error.Message} ");
        int first = Array.FindIndex(messages, message => message.Length > 0);
        if (first == Rank)
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(error!);
        throw error as RankFailedException ?? new RankFailedException(first, messages[first].TrimEnd());
    }

    /// <summary>Runs work on the root alone; a failure is one of all ranks.</summary>
    public void OnRoot(Action work) => Together(() =>
    {
        if (IsRoot)
            work();
    });

    /// <summary>What to throw when every rank has found the same error: the error itself on the root.</summary>
    public Exception FoundByAll(Exception error)
    {
        if (Size > 1)
            FailedTogether = true;
        return IsRoot ? error : new RankFailedException(0, error.Message);
    }

    /// <summary>Leaves the ranks. All of them must come here, or one must have called <see cref="Abort"/>.</summary>
    public void Dispose()
    {
        Leave();
        GC.SuppressFinalize(this);
    }

    private protected virtual void Leave()
    {
    }

    private byte[][] AllGatherBytes(ReadOnlySpan<byte> own)
    {
        if (Size == 1)
            return [own.ToArray()];
        var lengths = new int[Size];
        int[] four = new int[Size];
        Array.Fill(four, sizeof(int));
        int length = own.Length;
        AllGather(MemoryMarshal.AsBytes(new ReadOnlySpan<int>(in length)), MemoryMarshal.AsBytes(lengths.AsSpan()), four);
        var all = new byte[lengths.Sum()];
        AllGather(own, all, lengths);
        var parts = new byte[Size][];
        for (int rank = 0, first = 0; rank < Size; first += lengths[rank++])
            parts[rank] = all[first..(first + lengths[rank])];
        return parts;
    }

    private int[] Ones()
    {
        var ones = new int[Size];
        Array.Fill(ones, 1);
        return ones;
    }

    private sealed class SingleProcess : Communicator
    {
        public override int Rank => 0;

        public override int Size => 1;

        public override void AllToAll(ReadOnlySpan<byte> send, ReadOnlySpan<int> sendCounts, Span<byte> receive, ReadOnlySpan<int> receiveCounts) => send[..sendCounts[0]].CopyTo(receive);

        public override void AllGather(ReadOnlySpan<byte> own, Span<byte> all, ReadOnlySpan<int> counts) => own.CopyTo(all);

        public override void Gather(ReadOnlySpan<byte> own, Span<byte> all, ReadOnlySpan<int> counts) => own.CopyTo(all);

        public override void Abort(int exitCode)
        {
        }
    }
}
