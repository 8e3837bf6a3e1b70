using System.Numerics;
namespace Glimmer.Kernels;

internal static unsafe class RmsNorm
{
    private static float L(float* a, float* b, int n) { float* l = stackalloc float[32]; new Span<float>(l, 32).Clear(); for (int i = 0; i < n; i++) l[i % 32] = MathF.FusedMultiplyAdd(a[i], b[i], l[i % 32]); for (int s = 16; s > 0; s >>= 1) for (int i = 0; i < s; i++) l[i] += l[i + s]; return l[0]; }
    public static void Forward(ThreadTeam t, float* x, int ldx, int rows, int dim, float* w, float eps, float* y, int ldy) { for (int r = 0; r < rows; r++) { float* a = x + (long)r * ldx, b = y + (long)r * ldy; float s = 1 / MathF.Sqrt(L(a, a, dim) / dim + eps); for (int i = 0; i < dim; i++) b[i] = a[i] * s * w[i]; } }
    public static void Backward(ThreadTeam t, float* x, int ldx, int rows, int dim, float* w, float eps, float* dy, int lddy, float* dx, int lddx, float* dw) { float* tmp = (float*)System.Runtime.InteropServices.NativeMemory.AllocZeroed((nuint)dim * 4); float* g = (float*)System.Runtime.InteropServices.NativeMemory.AllocZeroed((nuint)dim * 4); for (int r = 0; r < rows; r++) { float* a = x + (long)r * ldx, d = dy + (long)r * lddy, o = dx + (long)r * lddx; float s = 1 / MathF.Sqrt(L(a, a, dim) / dim + eps); for (int i = 0; i < dim; i++) g[i] = d[i] * w[i]; float dot = L(g, a, dim); for (int i = 0; i < dim; i++) { tmp[i] += d[i] * a[i] * s; o[i] = s * g[i] - a[i] * (s * s * s / dim) * dot; } } if (dw != null) for (int i = 0; i < dim; i++) dw[i] += tmp[i]; }
}
internal static unsafe class LayerNorm
{
    public static void Forward(ThreadTeam t, float* x, int ldx, int rows, int dim, float* w, float* b, float eps, float* y, int ldy) { for (int r = 0; r < rows; r++) { float* a = x + (long)r * ldx, o = y + (long)r * ldy; double m = 0; for (int i = 0; i < dim; i++) m += a[i]; m /= dim; double v = 0; for (int i = 0; i < dim; i++) v += (a[i] - m) * (a[i] - m); v /= dim; double s = 1 / Math.Sqrt(v + eps); for (int i = 0; i < dim; i++) o[i] = (float)((a[i] - m) * s * w[i] + b[i]); } }
}
internal static unsafe class SwiGlu
{
    public static void Forward(ThreadTeam t, float* g, int ldg, float* u, int ldu, int rows, int w, float* y, int ldy) { for (int r = 0; r < rows; r++) for (int i = 0; i < w; i++) { float x = g[(long)r * ldg + i]; y[(long)r * ldy + i] = x / (1 + VectorMath.Exp(-x)) * u[(long)r * ldu + i]; } }
    public static void Backward(ThreadTeam t, float* g, int ldg, float* u, int ldu, float* dy, int lddy, int rows, int w, float* dg, int lddg, float* du, int lddu) { for (int r = 0; r < rows; r++) for (int i = 0; i < w; i++) { float x = g[(long)r * ldg + i], d = dy[(long)r * lddy + i]; float s = 1 / (1 + VectorMath.Exp(-x)); du[(long)r * lddu + i] = d * x * s; dg[(long)r * lddg + i] = d * u[(long)r * ldu + i] * s * (1 + x * (1 - s)); } }
}
internal static unsafe class LogSumExp { public static float Of(ReadOnlySpan<float> l) { float m = float.NegativeInfinity; foreach (float v in l) m = MathF.Max(m, v); double s = 0; foreach (float v in l) s += Math.Exp((double)v - m); return (float)(m + Math.Log(s)); } }
internal static unsafe class CrossEntropy
{
    public static void Forward(ThreadTeam t, float* l, int ld, int rows, int v, int* tg, float* loss, float* lse) { for (int r = 0; r < rows; r++) { lse[r] = LogSumExp.Of(new ReadOnlySpan<float>(l + (long)r * ld, v)); loss[r] = tg[r] < 0 ? 0 : lse[r] - l[(long)r * ld + tg[r]]; } }
    public static void Backward(ThreadTeam t, float* l, int ld, int rows, int v, int* tg, float* lse, float* w) { for (int r = 0; r < rows; r++) for (int i = 0; i < v; i++) { float* p = l + (long)r * ld + i; *p = tg[r] < 0 ? 0 : (VectorMath.Exp(*p - lse[r]) - (i == tg[r] ? 1 : 0)) * w[r]; } }
}
internal static unsafe class Elementwise
{
    public static void AddInPlace(ThreadTeam t, float* x, float* y, long n) { for (long i = 0; i < n; i++) x[i] += y[i]; }
    public static void Add(ThreadTeam t, float* x, float* y, float* z, long n) { for (long i = 0; i < n; i++) z[i] = x[i] + y[i]; }
    public static void Scale(ThreadTeam t, float* x, float s, long n) { for (long i = 0; i < n; i++) x[i] *= s; }
    public static void AddColumnSums(ThreadTeam t, float* x, int rows, int cols, float* y) { for (int c = 0; c < cols; c++) { float s = 0; for (int r = 0; r < rows; r++) s += x[(long)r * cols + c]; y[c] += s; } }
}
