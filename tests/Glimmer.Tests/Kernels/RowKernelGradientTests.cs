using Glimmer.Kernels;

namespace Glimmer.Tests.Kernels;

/// <summary>The double twins of the backward passes against central differences.</summary>
public unsafe class RowKernelGradientTests
{
    private const int Rows = 3;
    private const int N = 37;

    private readonly double[] _x = Numbers(Rows * N, 1), _w = Numbers(N, 2), _b = Numbers(N, 3), _g = Numbers(Rows * N, 4), _u = Numbers(Rows * N, 5);

    [Fact]
    public void Rms_norm()
    {
        var r = new double[Rows];
        double[] dx = new double[Rows * N], dw = new double[N];
        double Loss()
        {
            var y = new double[Rows * N];
            fixed (double* x = _x, w = _w, py = y)
            {
                for (int row = 0; row < Rows; row++)
                    r[row] = RmsNorm.Twin(x + row * N, w, 1e-5, N, py + row * N);
            }

            return Dot(y, _g);
        }

        Loss();
        fixed (double* x = _x, w = _w, g = _g, pr = r, pdx = dx, pdw = dw)
        {
            for (int row = 0; row < Rows; row++)
                RmsNorm.BackwardTwin(g + row * N, x + row * N, w, r[row], N, pdx + row * N, add: false);
            RmsNorm.GainGradientTwin(g, N, x, N, pr, Rows, N, pdw, GradientMode.Start);
        }

        CentralDifferences.Assert(Loss, _x, dx, "dx");
        CentralDifferences.Assert(Loss, _w, dw, "dgain");
    }

    [Fact]
    public void Layer_norm()
    {
        double[] mean = new double[Rows], r = new double[Rows], dx = new double[Rows * N], dw = new double[N], db = new double[N];
        double Loss()
        {
            var y = new double[Rows * N];
            fixed (double* x = _x, w = _w, b = _b, py = y)
            {
                for (int row = 0; row < Rows; row++)
                    (mean[row], r[row]) = LayerNorm.Twin(x + row * N, w, b, 1e-6, N, py + row * N);
            }

            return Dot(y, _g);
        }

        Loss();
        fixed (double* x = _x, w = _w, g = _g, pm = mean, pr = r, pdx = dx, pdw = dw, pdb = db)
        {
            for (int row = 0; row < Rows; row++)
                LayerNorm.BackwardTwin(g + row * N, x + row * N, w, mean[row], r[row], N, pdx + row * N, add: false);
            LayerNorm.ParameterGradientsTwin(g, N, x, N, pm, pr, Rows, N, pdw, pdb, GradientMode.Start);
        }

        CentralDifferences.Assert(Loss, _x, dx, "dx");
        CentralDifferences.Assert(Loss, _w, dw, "dgain");
        CentralDifferences.Assert(Loss, _b, db, "dbias");
    }

    [Fact]
    public void SwiGlu_gate_and_up()
    {
        double[] dgate = new double[Rows * N], dup = new double[Rows * N];
        fixed (double* gate = _x, up = _u, g = _g, pdg = dgate, pdu = dup)
            SwiGlu.BackwardTwin(g, gate, up, Rows * N, pdg, pdu);
        CentralDifferences.Assert(Loss, _x, dgate, "dgate");
        CentralDifferences.Assert(Loss, _u, dup, "dup");

        double Loss()
        {
            var y = new double[Rows * N];
            fixed (double* gate = _x, up = _u, py = y)
                SwiGlu.Twin(gate, up, Rows * N, py);
            return Dot(y, _g);
        }
    }

    [Fact]
    public void Cross_entropy()
    {
        int[] targets = [4, -1, 36];
        double[] scale = [0.7, 0.3, 1.9], gradient = [.. _x];
        double Loss()
        {
            double sum = 0;
            fixed (double* x = _x)
            {
                for (int row = 0; row < Rows; row++)
                    sum += scale[row] * CrossEntropy.Twin(x + row * N, targets[row], N).Loss;
            }

            return sum;
        }

        fixed (double* x = gradient)
        {
            for (int row = 0; row < Rows; row++)
            {
                (_, double lse, double rest) = CrossEntropy.Twin(x + row * N, targets[row], N);
                CrossEntropy.BackwardTwin(x + row * N, targets[row], N, lse, rest, scale[row]);
            }
        }

        CentralDifferences.Assert(Loss, _x, gradient, "dlogits");
    }

    private static double[] Numbers(int count, int seed) => MatMulTests.Doubles(count, seed);

    private static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();
}
