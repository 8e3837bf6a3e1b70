using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Glimmer.TorchPeer;

/// <summary>Sizes of a model; the names are those of <c>config.json</c>.</summary>
internal sealed record PeerConfig(
    string Name, int Vocabulary, int Width, int Layers, int Heads, int KeyValueHeads, int HeadWidth, int Inner, int ExpertInner, int Experts, int Rows, int Length, int MicroBatches)
{
    public const int Chosen = 8;

    public static readonly PeerConfig[] All =
    [
        new("S1", 1024, 64, 5, 10, 2, 16, 160, 24, 32, 64, 128, 1),
        new("S2", 4096, 128, 8, 10, 2, 32, 320, 48, 32, 32, 256, 1),
        new("S3", 8192, 256, 10, 20, 4, 32, 640, 64, 24, 8, 512, 2),
        new("dense135m", 49152, 576, 30, 9, 3, 64, 1536, 0, 0, 2, 512, 1),
    ];

    public bool IsSparse => Experts > 0;
}

/// <summary>RMS normalisation.</summary>
internal sealed class RmsNorm : Module<Tensor, Tensor>
{
    private readonly Parameter _weight;

    public RmsNorm(int width) : base(nameof(RmsNorm))
    {
        _weight = new Parameter(ones(width));
        RegisterComponents();
    }

    public override Tensor forward(Tensor x) => x * rsqrt(x.square().mean([-1], keepdim: true) + 1e-5) * _weight;
}

/// <summary>A linear layer, with a low-rank addition when one is asked for.</summary>
internal sealed class Projection : Module<Tensor, Tensor>
{
    private readonly Linear _base;
    private readonly Parameter? _a;
    private readonly Parameter? _b;

    public Projection(int inputs, int outputs, bool bias, int rank, double deviation) : base(nameof(Projection))
    {
        _base = Linear(inputs, outputs, bias);
        init.normal_(_base.weight, 0, deviation);
        if (bias)
            init.zeros_(_base.bias);
        if (rank > 0)
        {
            _base.weight.requires_grad = false;
            _a = new Parameter(randn(rank, inputs) / Math.Sqrt(inputs));
            _b = new Parameter(zeros(outputs, rank));
        }

        RegisterComponents();
    }

    // The scale is alpha / rank = 2.
    public override Tensor forward(Tensor x) => _a is null ? _base.forward(x) : _base.forward(x) + functional.linear(functional.linear(x, _a), _b!) * 2.0;
}

/// <summary>Grouped-query attention with rotation of the first dimensions of a head.</summary>
internal sealed class PeerAttention : Module<Tensor, Tensor, Tensor, Tensor>
{
    private readonly PeerConfig _config;
    private readonly Projection _q;
    private readonly Projection _k;
    private readonly Projection _v;
    private readonly Projection _o;
    private readonly RmsNorm? _qNorm;
    private readonly RmsNorm? _kNorm;

    public PeerAttention(PeerConfig config, int rank) : base(nameof(PeerAttention))
    {
        _config = config;
        bool sparse = config.IsSparse;
        _q = new Projection(config.Width, config.Heads * config.HeadWidth, sparse, rank, 0.02);
        _k = new Projection(config.Width, config.KeyValueHeads * config.HeadWidth, sparse, rank, 0.02);
        _v = new Projection(config.Width, config.KeyValueHeads * config.HeadWidth, sparse, rank, 0.02);
        _o = new Projection(config.Heads * config.HeadWidth, config.Width, false, rank, 0.02 / Math.Sqrt(2 * config.Layers));
        if (sparse)
            (_qNorm, _kNorm) = (new RmsNorm(config.HeadWidth), new RmsNorm(config.HeadWidth));
        RegisterComponents();
    }

    public override Tensor forward(Tensor x, Tensor cos, Tensor sin)
    {
        (long rows, long length) = (x.shape[0], x.shape[1]);
        Tensor q = _q.forward(x).view(rows, length, _config.Heads, _config.HeadWidth);
        Tensor k = _k.forward(x).view(rows, length, _config.KeyValueHeads, _config.HeadWidth);
        Tensor v = _v.forward(x).view(rows, length, _config.KeyValueHeads, _config.HeadWidth).transpose(1, 2);
        if (_qNorm is not null)
            (q, k) = (_qNorm.forward(q), _kNorm!.forward(k));
        q = Rotate(q, cos, sin).transpose(1, 2);
        k = Rotate(k, cos, sin).transpose(1, 2);
        long repeats = _config.Heads / _config.KeyValueHeads;
        k = k.repeat_interleave(repeats, 1);
        v = v.repeat_interleave(repeats, 1);
        Tensor y = functional.scaled_dot_product_attention(q, k, v, is_casual: true);
        return _o.forward(y.transpose(1, 2).reshape(rows, length, -1));
    }

    private static Tensor Rotate(Tensor x, Tensor cos, Tensor sin)
    {
        long half = cos.shape[^1], width = x.shape[^1];
        Tensor a = x.narrow(-1, 0, half), b = x.narrow(-1, half, half);
        Tensor first = a * cos - b * sin, second = b * cos + a * sin;
        return 2 * half == width ? cat([first, second], -1) : cat([first, second, x.narrow(-1, 2 * half, width - 2 * half)], -1);
    }
}

/// <summary>SwiGLU network.</summary>
internal sealed class DenseNetwork : Module<Tensor, Tensor>
{
    private readonly Projection _gate;
    private readonly Projection _up;
    private readonly Projection _down;

    public DenseNetwork(PeerConfig config, int inner, int rank) : base(nameof(DenseNetwork))
    {
        _gate = new Projection(config.Width, inner, false, rank, 0.02);
        _up = new Projection(config.Width, inner, false, rank, 0.02);
        _down = new Projection(inner, config.Width, false, rank, 0.02 / Math.Sqrt(2 * config.Layers));
        RegisterComponents();
    }

    public override Tensor forward(Tensor x) => _down.forward(functional.silu(_gate.forward(x)) * _up.forward(x));
}

/// <summary>Experts behind a sigmoid router with a balance bias: rows are sorted by expert, one product a matrix and expert.</summary>
internal sealed class SparseNetwork : Module<Tensor, Tensor>
{
    private readonly Parameter _router;
    private readonly Tensor _bias;
    private readonly Parameter _gateUp;
    private readonly Parameter _down;
    private readonly DenseNetwork _shared;

    public SparseNetwork(PeerConfig config) : base(nameof(SparseNetwork))
    {
        _router = new Parameter(randn(config.Experts, config.Width) * 0.02);
        _bias = zeros(config.Experts);
        _gateUp = new Parameter(randn(config.Experts, 2 * config.ExpertInner, config.Width) * 0.02);
        _down = new Parameter(randn(config.Experts, config.Width, config.ExpertInner) * (0.02 / Math.Sqrt(2 * config.Layers)));
        _shared = new DenseNetwork(config, config.ExpertInner, 0);
        RegisterComponents();
    }

    public override Tensor forward(Tensor input)
    {
        Tensor x = input.reshape(-1, input.shape[^1]);
        Tensor scores = sigmoid(functional.linear(x, _router));
        Tensor chosen = topk(scores.detach() + _bias, PeerConfig.Chosen, -1, sorted: false).indices;
        Tensor weights = scores.gather(1, chosen);
        weights = weights / (weights.sum(-1, keepdim: true) + 1e-20);
        Tensor flat = chosen.reshape(-1);
        Tensor order = argsort(flat);
        Tensor token = order.div(PeerConfig.Chosen, RoundingMode.floor);
        Tensor load = bincount(flat, minlength: _bias.shape[0]);
        using (no_grad())
        {
            Tensor counts = load.to(ScalarType.Float32);
            _bias.add_(1e-3 * sign(counts.mean() - counts));
        }

        Tensor[] rows = x.index_select(0, token).split(load.data<long>().ToArray());
        Tensor[] gateUp = _gateUp.unbind(0), down = _down.unbind(0);
        var outputs = new Tensor[rows.Length];
        for (int e = 0; e < rows.Length; e++)
        {
            Tensor[] halves = functional.linear(rows[e], gateUp[e]).chunk(2, -1);
            outputs[e] = functional.linear(functional.silu(halves[0]) * halves[1], down[e]);
        }

        Tensor weighted = cat(outputs) * weights.reshape(-1).index_select(0, order).unsqueeze(-1);
        Tensor combined = zeros_like(x).index_add(0, token, weighted, 1);
        return (combined + _shared.forward(x)).view(input.shape);
    }
}

/// <summary>A decoder layer, its norms before its two blocks.</summary>
internal sealed class PeerLayer : Module<Tensor, Tensor, Tensor, Tensor>
{
    private readonly RmsNorm _inputNorm;
    private readonly PeerAttention _attention;
    private readonly RmsNorm _secondNorm;
    private readonly Module<Tensor, Tensor> _network;

    public PeerLayer(PeerConfig config, bool dense, int rank) : base(nameof(PeerLayer))
    {
        _inputNorm = new RmsNorm(config.Width);
        _attention = new PeerAttention(config, rank);
        _secondNorm = new RmsNorm(config.Width);
        _network = dense ? new DenseNetwork(config, config.Inner, rank) : new SparseNetwork(config);
        RegisterComponents();
    }

    public override Tensor forward(Tensor x, Tensor cos, Tensor sin)
    {
        x = x + _attention.forward(_inputNorm.forward(x), cos, sin);
        return x + _network.forward(_secondNorm.forward(x));
    }
}

/// <summary>The whole model: token ids to logits.</summary>
internal sealed class PeerModel : Module<Tensor, Tensor>
{
    private readonly Embedding _embedding;
    private readonly ModuleList<PeerLayer> _layers;
    private readonly RmsNorm _norm;
    private readonly Linear? _head;
    private readonly Tensor _cos;
    private readonly Tensor _sin;

    public PeerModel(PeerConfig config, int rank) : base(nameof(PeerModel))
    {
        _embedding = Embedding(config.Vocabulary, config.Width);
        init.normal_(_embedding.weight, 0, 0.02);
        _layers = new ModuleList<PeerLayer>([.. Enumerable.Range(0, config.Layers).Select(i => new PeerLayer(config, !config.IsSparse || i == 0, rank))]);
        _norm = new RmsNorm(config.Width);
        if (config.IsSparse)
        {
            _head = Linear(config.Width, config.Vocabulary, hasBias: false);
            init.normal_(_head.weight, 0, 0.02);
        }

        int rotated = config.IsSparse ? config.HeadWidth / 2 : config.HeadWidth;
        Tensor inverse = pow(config.IsSparse ? 1e4 : 1e5, arange(0, rotated, 2).to(ScalarType.Float32) / -rotated);
        Tensor angle = arange(config.Length).to(ScalarType.Float32).unsqueeze(1) * inverse;
        (_cos, _sin) = (angle.cos().unsqueeze(1), angle.sin().unsqueeze(1));
        RegisterComponents();
        if (rank > 0)
        {
            foreach (Parameter parameter in _norm.parameters().Concat(_embedding.parameters()))
                parameter.requires_grad = false;
            foreach (PeerLayer layer in _layers)
            {
                foreach ((string name, Parameter parameter) in layer.named_parameters())
                    parameter.requires_grad = name.EndsWith("_a", StringComparison.Ordinal) || name.EndsWith("_b", StringComparison.Ordinal);
            }
        }
    }

    public override Tensor forward(Tensor ids)
    {
        Tensor x = _embedding.forward(ids);
        foreach (PeerLayer layer in _layers)
            x = layer.forward(x, _cos, _sin);
        x = _norm.forward(x);
        return _head is null ? functional.linear(x, _embedding.weight!) : _head.forward(x);
    }
}
