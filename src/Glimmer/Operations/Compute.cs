using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>Where operations run: the threads, the arena of the run, and the tape when gradients are wanted.</summary>
/// <remarks>Used by one thread at a time. With a tape, everything an operation saves stays in the workspace until the workspace is reset.</remarks>
public sealed class Compute : IDisposable
{
    private readonly bool _ownsTeam;

    /// <summary>Creates a context with a thread team of its own.</summary>
    /// <param name="threads">Computing threads, the caller among them.</param>
    public Compute(int threads) : this(new ThreadTeam(threads)) => _ownsTeam = true;

    /// <summary>Creates a context on a team that somebody else owns.</summary>
    public Compute(ThreadTeam team) => Team = team;

    /// <summary>The computing threads.</summary>
    public ThreadTeam Team { get; }

    /// <summary>Memory of the current run.</summary>
    public Workspace Workspace { get; } = new();

    /// <summary>Records operations for the backward pass; null when only the forward pass runs.</summary>
    public Tape? Tape { get; set; }

    /// <summary>How products with quantised weights take their activations.</summary>
    public ActivationType Activations { get; set; }

    /// <summary>Whether blocks drop their activations and compute them again in the backward pass.</summary>
    public bool RecomputeBlocks { get; set; }

    /// <summary>Sees intermediate values by name (<c>layer3.router_logits</c>); null, the default, costs nothing.</summary>
    public Action<string, Tensor>? Observer { get; set; }

    /// <summary>Sees the choice of every router once a run: its bias buffer, its logits [T, E] and the experts [T, K]; null outside training.</summary>
    internal Action<Parameter, Tensor, Tensor>? RouterForward { get; set; }

    /// <summary>Adds to the gradient of a router's logits: its bias buffer, its logits and their gradient, both [T, E]; null outside training.</summary>
    internal Action<Parameter, Tensor, Tensor>? RouterBackward { get; set; }

    /// <summary>Which rows of the activations compute with which adapter; null when all of them have number 0. A forward pass sets it from its batch.</summary>
    internal List<AdapterRun>? AdapterRuns { get; set; }

    /// <summary>The draws of dropout in a training step; null when nothing is dropped.</summary>
    internal DropoutDraws? Dropout { get; set; }

    /// <summary>Noise on the embeddings of a training step; null for none.</summary>
    internal EmbeddingNoise? EmbeddingNoise { get; set; }

    /// <summary>The loss that trains indexers; null when they only choose.</summary>
    internal IndexerObjective? IndexerObjective { get; set; }

    /// <summary>Who holds which routed experts when they lie on several ranks; null when all are here.</summary>
    internal ExpertRanks? ExpertRanks { get; set; }

    /// <summary>Low-rank additions of one step, likewise reused.</summary>
    internal List<LowRankStep> LowRankSteps { get; } = [];

    /// <summary>A list that operations fill with the products of one step; reused so that a step allocates nothing.</summary>
    internal List<MatMulJob> MatMulJobs { get; } = [];

    /// <summary>The experts that a step computes, likewise reused.</summary>
    internal List<int> ActiveExperts { get; } = [];

    private readonly List<AdapterRun> _selectedRuns = [];

    /// <summary>Makes <see cref="AdapterRuns"/> those of some of the rows, which are computed from now on.</summary>
    internal void SelectRows(ReadOnlySpan<int> rows)
    {
        if (AdapterRuns is not { } runs)
            return;
        List<AdapterRun> selected = ReferenceEquals(runs, _selectedRuns) ? [] : _selectedRuns;
        selected.Clear();
        foreach (int row in rows)
            AdapterRun.Append(selected, AdapterRun.Of(runs, row), 1);
        AdapterRuns = selected;
    }

    /// <summary>Starts a new run: everything in the workspace becomes invalid.</summary>
    /// <param name="tape">Records the run, or null.</param>
    public void Begin(Tape? tape = null)
    {
        Workspace.Reset();
        Tape = tape;
        AdapterRuns = null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Workspace.Dispose();
        if (_ownsTeam)
            Team.Dispose();
    }

    /// <summary>Runs one block of the network, <c>x = body(x)</c>, so that its temporary values do not outlive it.</summary>
    /// <param name="x">The residual stream, [T, D]. Without a tape the body updates it in place.</param>
    /// <param name="state">Passed to the body, so that a static lambda needs no closure.</param>
    /// <param name="body">Computes the block.</param>
    /// <returns>The residual stream after the block.</returns>
    public Tensor Block<TState>(Tensor x, TState state, Func<Compute, Tensor, TState, Tensor> body)
    {
        if (Tape is null)
        {
            Workspace.Mark mark = Workspace.Save();
            Tensor y = body(this, x, state);
            if (!ReferenceEquals(x, y))
                throw new InvalidOperationException("Without a tape a block must update the residual stream in place.");
            Workspace.Release(mark);
            return x;
        }

        if (RecomputeBlocks)
            return Recomputed<TState>.Forward(this, x, state, body);
        var start = new BlockStart(this, x);
        Tape.Record(start);
        Tensor end = body(this, x, state);
        Tape.Record(new BlockEnd(this, start, end));
        return end;
    }

    /// <summary>The first to go back of a block: from here on gradients are temporary, but that of the block's input.</summary>
    private sealed class BlockEnd(Compute c, BlockStart start, Tensor y) : TapeEntry
    {
        public override void Backward()
        {
            if (y.Gradient is null)
                return;
            start.InputGradient = c.Workspace.F32(start.Input.Shape);
            start.Mark = c.Workspace.Save();
        }
    }

    /// <summary>The last to go back of a block: keeps the gradient of its input and frees the memory of all others.</summary>
    private sealed class BlockStart(Compute c, Tensor x) : TapeEntry
    {
        public Tensor Input => x;

        public Tensor? InputGradient { get; set; }

        public Workspace.Mark Mark { get; set; }

        public override void Backward()
        {
            if (InputGradient is null)
                return;
            x.Gradient!.CopyTo(InputGradient);
            x.Gradient = InputGradient;
            c.Workspace.Release(Mark);
        }
    }

    /// <summary>Runs products with the activations this context asks for.</summary>
    internal void Multiply(ReadOnlySpan<MatMulJob> jobs)
    {
        if (Activations == ActivationType.Q8)
            MatMul.MultiplyBlocks(Team, jobs);
        else
            MatMul.Multiply(Team, jobs);
    }

    /// <summary>Shows a value to the observer, if there is one.</summary>
    internal void Observe(string prefix, string name, Tensor tensor)
    {
        if (Observer is { } observer)
            observer(prefix + name, tensor);
    }

    /// <summary>Adds to the gradient of an activation; adopts <paramref name="gradient"/> when it is the first and nobody else uses it.</summary>
    internal unsafe void AddGradient(Tensor x, Tensor gradient, bool owned = true)
    {
        if (x.Gradient is { } sum)
        {
            Elementwise.Add(Team, sum.F32Pointer, gradient.F32Pointer, x.Count, sum.F32Pointer);
            return;
        }

        if (!owned)
        {
            Tensor copy = Workspace.F32(x.Shape);
            gradient.CopyTo(copy);
            gradient = copy;
        }

        x.Gradient = gradient;
    }

    /// <summary>A block that keeps only its input; the backward pass runs the forward pass again.</summary>
    private sealed class Recomputed<TState>(Compute c, Tensor x, TState state, Func<Compute, Tensor, TState, Tensor> body, Tensor y) : TapeEntry
    {
        private readonly DropoutDraws? _dropout = c.Dropout;

        public static Tensor Forward(Compute c, Tensor x, TState state, Func<Compute, Tensor, TState, Tensor> body)
        {
            Tape tape = c.Tape!;
            Tensor y = c.Workspace.F32(x.Shape);
            Workspace.Mark mark = c.Workspace.Save();
            // The body runs without a tape and so in place, on a copy: the input is what is kept.
            x.CopyTo(y);
            c.Tape = null;
            body(c, y, state);
            c.Tape = tape;
            c.Workspace.Release(mark);
            tape.Record(new Recomputed<TState>(c, x, state, body, y));
            return y;
        }

        public override void Backward()
        {
            if (y.Gradient is not { } dy)
                return;
            Tensor dx = c.Workspace.F32(x.Shape);
            Workspace.Mark mark = c.Workspace.Save();
            Tape? outer = c.Tape;
            Action<string, Tensor>? observer = c.Observer;
            Action<Parameter, Tensor, Tensor>? routerForward = c.RouterForward;
            (DropoutDraws? dropout, IndexerObjective? indexer) = (c.Dropout, c.IndexerObjective);
            (c.Tape, c.Observer, c.RouterForward, c.Dropout, c.IndexerObjective) = (new Tape(), null, null, _dropout, null);
            Tensor again = body(c, x, state);
            again.Gradient = dy;
            c.Tape.Backward();
            x.Gradient!.CopyTo(dx);
            (c.Tape, c.Observer, c.RouterForward, c.Dropout, c.IndexerObjective) = (outer, observer, routerForward, dropout, indexer);
            x.Gradient = dx;
            c.Workspace.Release(mark);
        }
    }
}
