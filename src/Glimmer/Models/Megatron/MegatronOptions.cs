using Glimmer.Tensors;

namespace Glimmer.Models.Megatron;

/// <summary>How a checkpoint is written under Megatron-core's names.</summary>
public sealed record MegatronOptions
{
    /// <summary>Type of the matrices, F32 or BF16; null keeps each tensor as it is. The balance bias stays F32.</summary>
    public DType? Type { get; init; }

    /// <summary>The rows of embedding and output matrix become a multiple of this, with zero rows; 1 for none.</summary>
    public int PadVocabularyTo { get; init; } = 1;

    /// <summary>Whether the indexer of DSA is spelled as slime does.</summary>
    public bool SlimeNames { get; init; }

    /// <summary>Ranks of tensor parallelism. With more than one rank in all, each has a folder <c>iter_0000001/mp_rank_TT_000_EEE</c>.</summary>
    public int TensorParallel { get; init; } = 1;

    /// <summary>Ranks of expert parallelism.</summary>
    public int ExpertParallel { get; init; } = 1;

    /// <summary>Throws when a value makes no sense.</summary>
    /// <exception cref="ArgumentException">Names the option.</exception>
    /// <exception cref="UnsupportedModelException">The type cannot be written.</exception>
    public void Check()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(PadVocabularyTo, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(TensorParallel, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(ExpertParallel, 1);
        if (Type is not (null or DType.F32 or DType.BF16))
            throw new UnsupportedModelException($"Weights under Megatron-core's names are written as float32 or bfloat16, not {Type}.");
    }
}
