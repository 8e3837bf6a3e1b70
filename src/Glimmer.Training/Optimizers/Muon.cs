using System.Numerics;
using Glimmer.Kernels;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Training.Optimizers;

/// <summary>A matrix that Muon updates.</summary>
/// <param name="Parameter">The matrix, with a gradient.</param>
/// <param name="Momentum">fp32, of the same shape; changed by a step.</param>
/// <param name="WeightDecay">Decoupled decay.</param>
/// <param name="Split">How the matrix is cut into blocks.</param>
internal sealed record MuonMatrix(Parameter Parameter, Tensor Momentum, float WeightDecay, MatrixSplit Split)
{
    /// <summary>Factor of the learning rate.</summary>
    public float RateFactor { get; init; } = 1;
}

/// <summary>Runs the steps of Muon over many matrices, all products of one iteration as one list of work.</summary>
/// <remarks>
/// A block is held tall, [long, short] (transposed when it is wide), as Y. One iteration is <c>G = Y^T Y; P = A + B G + C G^2; Y = Y P</c>: three products
/// whose every output is one
/// chain (docs/adr/0001, rule 1), so that the bits depend neither on threads nor on which blocks run together. G, G^2 and P are symmetric to the bit. The
/// norm before the first iteration
/// is rule 3 in fp64. Jordan et al. 2024, "Muon"; Liu et al. 2025 (arXiv 2502.16982) for decay and scale.
/// </remarks>
internal sealed unsafe class Muon : IDisposable
{
    // Blocks run together while their matrices stay below this.
    private const long RoundFloats = 16L << 20;

    private readonly MuonOptions _options;
    private readonly List<List<Block>> _rounds = [];
    private readonly Tensor _y;
    private readonly Tensor _next;
    private readonly Tensor _gram;
    private readonly Tensor _square;

    public Muon(IReadOnlyList<MuonMatrix> matrices, MuonOptions options)
    {
        _options = options;
        (long floats, long small, long mostFloats, long mostSmall) = (0, 0, 0, 0);
        foreach (MuonMatrix matrix in matrices)
        {
            foreach (MatrixBlock part in matrix.Split.Cut(matrix.Parameter.Shape[0], matrix.Parameter.Shape[1]))
            {
                (int tall, int thin) = (Math.Max(part.Rows, part.Columns), Math.Min(part.Rows, part.Columns));
                if (_rounds.Count == 0 || floats + ((long)tall * thin) > RoundFloats)
                {
                    _rounds.Add([]);
                    floats = small = 0;
                }

                _rounds[^1].Add(new Block(matrix, part, tall, thin, floats, small));
                floats += (long)tall * thin;
                small += (long)thin * thin;
                (mostFloats, mostSmall) = (Math.Max(mostFloats, floats), Math.Max(mostSmall, small));
            }
        }

        _y = Tensor.Allocate(DType.F32, checked((int)mostFloats));
        _next = Tensor.Allocate(DType.F32, checked((int)mostFloats));
        _gram = Tensor.Allocate(DType.F32, checked((int)mostSmall));
        _square = Tensor.Allocate(DType.F32, checked((int)mostSmall));
    }

    /// <summary>Updates momentum and weights of every matrix from its gradient.</summary>
    public void Step(ThreadTeam team, float learningRate)
    {
        foreach (List<Block> round in _rounds)
        {
            team.Run(new EachBlock(round, Load));
            float* y = Orthogonalise(team, round);
            team.Run(new EachBlock(round, block => Store(block, y, learningRate)));
        }
    }

    /// <summary>Replaces a matrix by its orthogonalised form, for example to look at it.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="matrix">[rows, columns]; changed.</param>
    /// <param name="options">Iterations and guard of the norm.</param>
    public static void Orthogonalise(ThreadTeam team, Tensor matrix, MuonOptions options)
    {
        var parameter = new Parameter("matrix", matrix);
        parameter.EnableGradient();
        parameter.Gradient!.F32.Clear();
        matrix.F32.CopyTo(parameter.Gradient.F32);
        matrix.F32.Clear();
        using Tensor momentum = Tensor.Allocate(DType.F32, matrix.Shape);
        using (parameter.Gradient)
        {
            MuonOptions plain = options with { Momentum = 0, Nesterov = false, MomentumForm = MomentumForm.Sum };
            using var muon = new Muon([new MuonMatrix(parameter, momentum, 0, MatrixSplit.Whole)], plain);
            Block block = muon._rounds[0][0];
            muon.Load(block);
            float* y = muon.Orthogonalise(team, muon._rounds[0]);
            Write(block, y, keep: 0, rate: -1);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _y.Dispose();
        _next.Dispose();
        _gram.Dispose();
        _square.Dispose();
    }

    // The iterations over Y of all blocks of a round; says which of the two buffers holds the result.
    private float* Orthogonalise(ThreadTeam team, List<Block> round)
    {
        float* y = _y.F32Pointer;
        float* next = _next.F32Pointer;
        float* gram = _gram.F32Pointer;
        float* square = _square.F32Pointer;
        foreach (NewtonSchulzStep step in _options.Iterations)
        {
            var batch = new ProductBatch(team, round.Count);
            foreach (Block b in round)
                batch.Add(Times(y + b.Start, true, b.Thin, b.Tall, y + b.Start, b.Thin, gram + b.SmallStart));
            batch.Run();
            batch = new ProductBatch(team, round.Count);
            foreach (Block b in round)
                batch.Add(Times(gram + b.SmallStart, false, b.Thin, b.Thin, gram + b.SmallStart, b.Thin, square + b.SmallStart));
            batch.Run();
            team.Run(new EachBlock(round, b => Polynomial(step, b.Thin, gram + b.SmallStart, square + b.SmallStart)));
            batch = new ProductBatch(team, round.Count);
            foreach (Block b in round)
                batch.Add(Times(y + b.Start, false, b.Tall, b.Thin, square + b.SmallStart, b.Thin, next + b.Start));
            batch.Run();
            float* result = next;
            next = y;
            y = result;
        }

        return y;
    }

    // c = a b with a [m, depth], or stored transposed, and b [depth, n].
    private static Product Times(float* a, bool transposed, int m, int depth, float* b, int n, float* c) => new()
    {
        A = a,
        LdA = transposed ? m : depth,
        ATransposed = transposed,
        Raw = b,
        LdRaw = n,
        Type = DType.F32,
        C = c,
        LdC = n,
        M = m,
        N = n,
        Depth = depth,
    };

    // square = A + B gram + C square
    private static void Polynomial(NewtonSchulzStep step, int n, float* gram, float* square)
    {
        (float a, float b, float c) = ((float)step.A, (float)step.B, (float)step.C);
        int count = n * n, i = 0;
        for (; i <= count - Vector<float>.Count; i += Vector<float>.Count)
        {
            Vector<float> sum = (Vector.Load(gram + i) * b) + (Vector.Load(square + i) * c);
            sum.Store(square + i);
        }

        for (; i < count; i++)
            square[i] = (gram[i] * b) + (square[i] * c);
        for (i = 0; i < n; i++)
            square[i * (n + 1)] += a;
    }

    // Momentum, then Y = u / norm.
    private void Load(Block block)
    {
        (MatrixBlock part, float mu, bool average) = (block.Part, _options.Momentum, _options.MomentumForm == MomentumForm.Average);
        float* gradient = block.Matrix.Parameter.Gradient!.F32Pointer;
        float* momentum = block.Matrix.Momentum.F32Pointer;
        float* y = _y.F32Pointer + block.Start;
        long stride = block.Matrix.Parameter.Shape[1];
        (int byRow, int byColumn) = block.Wide ? (1, block.Thin) : (block.Thin, 1);
        int row = 0;
        foreach ((int first, int count) in part.Runs)
        {
            for (int r = first; r < first + count; r++, row++)
            {
                float* g = gradient + (r * stride) + part.FirstColumn;
                float* m = momentum + (r * stride) + part.FirstColumn;
                float* u = y + ((long)row * byRow);
                for (int c = 0; c < part.Columns; c++)
                {
                    float moved = average ? m[c] + ((1 - mu) * (g[c] - m[c])) : (mu * m[c]) + g[c];
                    m[c] = moved;
                    if (_options.Nesterov)
                        moved = average ? ((1 - mu) * g[c]) + (mu * moved) : g[c] + (mu * moved);
                    u[(long)c * byColumn] = moved;
                }
            }
        }

        long elements = (long)block.Tall * block.Thin;
        double norm = Math.Sqrt(SquaredNorm.Of(y, elements));
        double guarded = _options.NormGuard == NormGuard.Add ? norm + _options.NormEpsilon : Math.Max(norm, _options.NormEpsilon);
        var divisor = new Vector<float>((float)guarded);
        long i = 0;
        for (; i <= elements - Vector<float>.Count; i += Vector<float>.Count)
            (Vector.Load(y + i) / divisor).Store(y + i);
        for (; i < elements; i++)
            y[i] /= (float)guarded;
    }

    private void Store(Block block, float* y, float learningRate)
    {
        learningRate *= block.Matrix.RateFactor;
        float decay = 1 - (learningRate * block.Matrix.WeightDecay);
        float rate = learningRate * _options.ScaleFactor * (_options.Scale == UpdateScale.LargerSide
            ? MathF.Sqrt(Math.Max(block.Part.Rows, block.Part.Columns))
            : MathF.Sqrt(Math.Max(1, (float)block.Part.Rows / block.Part.Columns)));
        Write(block, y, decay, rate);
    }

    // W = keep W - rate X
    private static void Write(Block block, float* source, float keep, float rate)
    {
        float* weights = block.Matrix.Parameter.Value!.F32Pointer;
        float* y = source + block.Start;
        long stride = block.Matrix.Parameter.Shape[1];
        (int byRow, int byColumn) = block.Wide ? (1, block.Thin) : (block.Thin, 1);
        int row = 0;
        foreach ((int first, int count) in block.Part.Runs)
        {
            for (int r = first; r < first + count; r++, row++)
            {
                float* w = weights + (r * stride) + block.Part.FirstColumn;
                float* x = y + ((long)row * byRow);
                for (int c = 0; c < block.Part.Columns; c++)
                    w[c] = (w[c] * keep) - (rate * x[(long)c * byColumn]);
            }
        }
    }

    private sealed record Block(MuonMatrix Matrix, MatrixBlock Part, int Tall, int Thin, long Start, long SmallStart)
    {
        /// <summary>Whether Y holds the block transposed.</summary>
        public bool Wide => Part.Rows < Part.Columns;
    }

    // Blocks are taken in turns: each is the work of one thread.
    private sealed class EachBlock(List<Block> blocks, Action<Block> body) : TeamJob
    {
        public override void Execute(int thread, int threads)
        {
            for (int i = thread; i < blocks.Count; i += threads)
                body(blocks[i]);
        }
    }
}
