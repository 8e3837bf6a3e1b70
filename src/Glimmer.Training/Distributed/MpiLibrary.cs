using System.Runtime.InteropServices;
using System.Text;

namespace Glimmer.Training.Distributed;

/// <summary>The C interface of Open MPI, as far as it is used: functions of its shared library, and handles, which are addresses of symbols in it.</summary>
/// <remarks>MPI 3.1; Open MPI's <c>mpi.h</c> defines <c>MPI_COMM_WORLD</c> as the address of <c>ompi_mpi_comm_world</c>, and so on. The library is never unloaded.</remarks>
internal sealed unsafe class MpiLibrary
{
    private const int MaxErrorString = 256; // MPI_MAX_ERROR_STRING of Open MPI
    private const int ThreadSerialized = 2; // MPI_THREAD_SERIALIZED: one thread at a time

    private static readonly string[] s_names = ["libmpi.so.40", "libmpi.so", "libmpi.40.dylib", "libmpi.dylib"];

    private readonly nint _library;
    private readonly string _name;
    private readonly nint _byte;
    private readonly delegate* unmanaged<void*, int*, int*, nint, void*, int*, int*, nint, nint, int> _allToAll;
    private readonly delegate* unmanaged<void*, int, nint, void*, int*, int*, nint, nint, int> _allGather;
    private readonly delegate* unmanaged<void*, int, nint, void*, int*, int*, nint, int, nint, int> _gather;
    private readonly delegate* unmanaged<int, byte*, int*, int> _errorString;

    private MpiLibrary(nint library, string name)
    {
        (_library, _name) = (library, name);
        (World, _byte) = (Symbol("ompi_mpi_comm_world"), Symbol("ompi_mpi_byte"));
        _allToAll = (delegate* unmanaged<void*, int*, int*, nint, void*, int*, int*, nint, nint, int>)Symbol("MPI_Alltoallv");
        _allGather = (delegate* unmanaged<void*, int, nint, void*, int*, int*, nint, nint, int>)Symbol("MPI_Allgatherv");
        _gather = (delegate* unmanaged<void*, int, nint, void*, int*, int*, nint, int, nint, int>)Symbol("MPI_Gatherv");
        _errorString = (delegate* unmanaged<int, byte*, int*, int>)Symbol("MPI_Error_string");
    }

    /// <summary><c>MPI_COMM_WORLD</c>: all ranks.</summary>
    public nint World { get; }

    /// <summary>Loads the library.</summary>
    /// <param name="names">Names to try; the usual ones when there is none.</param>
    /// <exception cref="CommunicatorException">It is not there, or is not Open MPI's.</exception>
    public static MpiLibrary Load(params IReadOnlyList<string> names)
    {
        names = names.Count > 0 ? names : s_names;
        foreach (string name in names)
        {
            if (NativeLibrary.TryLoad(name, out nint library))
                return new MpiLibrary(library, name);
        }

        throw new CommunicatorException($"mpirun started this program, but Open MPI's library ({names[0]}) cannot be loaded. Install Open MPI on every machine (Debian: openmpi-bin), or start the program without mpirun.");
    }

    /// <summary><c>MPI_Init_thread</c>; errors are returned from then on instead of ending the process.</summary>
    public void Initialize()
    {
        int provided;
        Check(((delegate* unmanaged<int*, byte***, int, int*, int>)Symbol("MPI_Init_thread"))(null, null, ThreadSerialized, &provided), "MPI_Init_thread");
        Check(((delegate* unmanaged<nint, nint, int>)Symbol("MPI_Comm_set_errhandler"))(World, Symbol("ompi_mpi_errors_return")), "MPI_Comm_set_errhandler");
    }

    /// <summary><c>MPI_Comm_rank</c> and <c>MPI_Comm_size</c> of all ranks.</summary>
    public (int Rank, int Size) Place()
    {
        int rank, size;
        Check(((delegate* unmanaged<nint, int*, int>)Symbol("MPI_Comm_rank"))(World, &rank), "MPI_Comm_rank");
        Check(((delegate* unmanaged<nint, int*, int>)Symbol("MPI_Comm_size"))(World, &size), "MPI_Comm_size");
        return (rank, size);
    }

    /// <summary><c>MPI_Alltoallv</c> of bytes over all ranks.</summary>
    public void AllToAll(void* send, int* sendCounts, int* sendFirst, void* receive, int* receiveCounts, int* receiveFirst) =>
        Check(_allToAll(send, sendCounts, sendFirst, _byte, receive, receiveCounts, receiveFirst, _byte, World), "MPI_Alltoallv");

    /// <summary><c>MPI_Allgatherv</c> of bytes over all ranks.</summary>
    public void AllGather(void* own, int count, void* all, int* counts, int* first) => Check(_allGather(own, count, _byte, all, counts, first, _byte, World), "MPI_Allgatherv");

    /// <summary><c>MPI_Gatherv</c> of bytes to rank 0.</summary>
    public void Gather(void* own, int count, void* all, int* counts, int* first) => Check(_gather(own, count, _byte, all, counts, first, _byte, 0, World), "MPI_Gatherv");

    /// <summary><c>MPI_Abort</c> of all ranks.</summary>
    public void Abort(int exitCode) => ((delegate* unmanaged<nint, int, int>)Symbol("MPI_Abort"))(World, exitCode);

    /// <summary><c>MPI_Finalize</c>: waits for all ranks.</summary>
    public void Complete() => Check(((delegate* unmanaged<int>)Symbol("MPI_Finalize"))(), "MPI_Finalize");

    private nint Symbol(string name) => NativeLibrary.TryGetExport(_library, name, out nint address)
        ? address
        : throw new CommunicatorException($"'{_name}' has no symbol '{name}': it is not the library of Open MPI 4. Put Open MPI's first in LD_LIBRARY_PATH.");

    private void Check(int code, string function)
    {
        if (code == 0)
            return;
        byte* text = stackalloc byte[MaxErrorString];
        int length = 0;
        string message = _errorString(code, text, &length) == 0 ? Encoding.UTF8.GetString(text, length) : $"error {code}";
        throw new CommunicatorException($"{function} failed: {message}. Another rank may have ended; the run can go on from its last checkpoint.");
    }
}
