using System.Runtime.InteropServices;

namespace Glimmer.Benchmarks;

/// <summary>OpenBLAS, found at run time: <c>OPENBLAS_LIBRARY</c> or the places where Debian keeps it.</summary>
internal sealed unsafe class OpenBlas
{
    private const int RowMajor = 101;
    private const int NoTranspose = 111;

    private static readonly string[] s_candidates =
    [
        "/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0", "/usr/lib/aarch64-linux-gnu/openblas-pthread/libopenblas.so.0", "libopenblas.so.0",
        "libopenblas.dylib", "libopenblas.dll",
    ];

    private readonly delegate* unmanaged<int, int, int, int, int, int, float, float*, int, float*, int, float, float*, int, void> _sgemm;
    private readonly delegate* unmanaged<int, void> _setThreads;

    private OpenBlas(nint library)
    {
        _sgemm = (delegate* unmanaged<int, int, int, int, int, int, float, float*, int, float*, int, float, float*, int, void>)
            NativeLibrary.GetExport(library, "cblas_sgemm");
        _setThreads = (delegate* unmanaged<int, void>)NativeLibrary.GetExport(library, "openblas_set_num_threads");
        var name = (delegate* unmanaged<byte*>)NativeLibrary.GetExport(library, "openblas_get_corename");
        Core = Marshal.PtrToStringUTF8((nint)name()) ?? "";
    }

    /// <summary>The processor whose kernels it chose; <c>OPENBLAS_CORETYPE</c> decides before the process starts.</summary>
    public string Core { get; }

    public int Threads
    {
        set => _setThreads(value);
    }

    /// <summary>Loads the library, or returns null where it is not installed.</summary>
    public static OpenBlas? TryLoad()
    {
        string? chosen = Environment.GetEnvironmentVariable("OPENBLAS_LIBRARY");
        foreach (string path in chosen is null ? s_candidates : [chosen])
        {
            if (NativeLibrary.TryLoad(path, out nint library))
                return new OpenBlas(library);
        }

        return null;
    }

    /// <summary><c>c = a b</c>, row-major without gaps.</summary>
    public void Gemm(int m, int n, int k, float* a, float* b, float* c) =>
        _sgemm(RowMajor, NoTranspose, NoTranspose, m, n, k, 1, a, k, b, n, 0, c, n);
}
