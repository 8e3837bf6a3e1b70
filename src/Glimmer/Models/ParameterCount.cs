namespace Glimmer.Models;

/// <summary>How many parameters a configuration makes.</summary>
/// <param name="Trunk">Embedding, decoder layers, final norm and output matrix (once when it is tied to the embedding).</param>
/// <param name="NextToken">The MTP layer, without the copies of embedding and output matrix that some checkpoints repeat there.</param>
/// <param name="Active">
/// Entries of the matrices that one token is multiplied with in the trunk: attention, dense layers, router, shared and chosen experts, output matrix. Embedding rows, norms and biases do not count.
/// </param>
/// <param name="ActiveHead">The part of <paramref name="Active"/> that is the output matrix.</param>
/// <param name="Tensors">Tensors of the checkpoint, without the repeated copies.</param>
public readonly record struct ParameterCount(long Trunk, long NextToken, long Active, long ActiveHead, long Tensors)
{
    /// <summary>Trunk and MTP layer.</summary>
    public long Total => Trunk + NextToken;

    /// <summary>Counts the parameters of a configuration.</summary>
    /// <exception cref="ModelFormatException">The sizes multiply to more than 64 bits.</exception>
    public static ParameterCount Of(ModelConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        try
        {
            return Counted(config);
        }
        catch (OverflowException error)
        {
            throw new ModelFormatException("The sizes in config.json multiply to more parameters than 64 bits can count; at least one of them is wrong.", error);
        }
    }

    private static ParameterCount Counted(ModelConfig config)
    {
        var count = new Sum(config);
        count.Add(CheckpointLayout.Globals(config));
        // Layers of one kind have equal sizes, so each kind is counted once.
        var kinds = new Dictionary<(bool Sparse, bool Indexer), Sum>();
        for (int layer = 0; layer < config.NumHiddenLayers; layer++)
        {
            (bool, bool) kind = (config.IsSparse(layer), config.HasIndexer(layer));
            if (!kinds.TryGetValue(kind, out Sum? one))
            {
                kinds[kind] = one = new Sum(config);
                one.Add(CheckpointLayout.Layer(config, layer));
            }

            count.Add(one);
        }

        var nextToken = new Sum(config);
        if (config.NumNextnPredictLayers > 0)
        {
            nextToken.Add(CheckpointLayout.Layer(config, config.NumHiddenLayers));
            nextToken.Add(CheckpointLayout.NextToken(config).Where(tensor => !tensor.IsOptional));
        }

        long head = checked((long)config.VocabSize * config.HiddenSize);
        return new ParameterCount(count.Elements, nextToken.Elements, checked(count.Active + head), head, checked(count.Tensors + nextToken.Tensors));
    }

    private sealed class Sum(ModelConfig config)
    {
        public long Elements { get; private set; }

        public long Active { get; private set; }

        public long Tensors { get; private set; }

        public void Add(Sum other)
        {
            checked
            {
                Elements += other.Elements;
                Active += other.Active;
                Tensors += other.Tensors;
            }
        }

        public void Add(IEnumerable<LayoutTensor> tensors)
        {
            checked
            {
                foreach (LayoutTensor tensor in tensors)
                {
                    Tensors += tensor.Copies;
                    Elements += tensor.Count * tensor.Copies;
                    Active += tensor.Role switch
                    {
                        TensorRole.Matrix => tensor.Count,
                        TensorRole.RoutedExpert => tensor.Count * config.NumExpertsPerTok,
                        _ => 0,
                    };
                }
            }
        }
    }
}
