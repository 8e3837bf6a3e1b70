using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Tokenization;
using Glimmer.Training.Batching;

namespace Glimmer.Training.Sft;

/// <summary>The data of a run, rendered: what is trained on, what is held out, and what was left out and why.</summary>
public sealed class SftData
{
    private readonly SftOptions _options;

    private SftData(SftOptions options, Tokenizer tokenizer, SftSamples train, SftSamples heldOut, IReadOnlyList<BadRecord> bad, int maxLength)
    {
        (_options, Tokenizer, Train, HeldOut, MaxLength) = (options, tokenizer, train, heldOut, maxLength);
        Bad = [.. bad, .. train.Bad, .. heldOut.Bad];
    }

    /// <summary>The vocabulary.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>Samples that are trained on.</summary>
    public SftSamples Train { get; }

    /// <summary>Samples that the loss is measured on.</summary>
    public SftSamples HeldOut { get; }

    /// <summary>Every bad record with its file, its line and its fault.</summary>
    public IReadOnlyList<BadRecord> Bad { get; }

    /// <summary>Records with an answer that was rejected, which supervised fine-tuning does not read.</summary>
    public int RejectedResponses { get; private set; }

    /// <summary>Most tokens of a sample.</summary>
    public int MaxLength { get; }

    /// <summary>Names of the sources of held-out samples, those without a name left out.</summary>
    public IReadOnlyList<string> Channels => [.. HeldOut.Samples.Select(sample => sample.Channel).OfType<string>().Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];

    /// <summary>Reads and renders the data. Needs the model's tokenizer and template, not its weights.</summary>
    /// <exception cref="FormatException">A file is of no known format, or there is a bad record and <see cref="SftOptions.Strict"/> is set.</exception>
    /// <exception cref="UnsupportedModelException">The template cannot be trained with.</exception>
    public static SftData Load(SftOptions options, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.Dataset.Count == 0)
            throw new FormatException("There is no data: --dataset names files.");
        Tokenizer tokenizer = TokenizerFiles.Open(options.Model);
        ChatTemplate? template = TokenizerFiles.TemplateOf(tokenizer);
        using Checkpoint checkpoint = Checkpoint.Open(options.Model);
        int maxLength = Math.Min(options.MaxLength ?? int.MaxValue, checkpoint.Config.MaxPositionEmbeddings);
        var builder = new SftSampleBuilder(tokenizer, template, SampleOptions(options, template));
        SftDataset all = SftDataset.Read(options.Dataset, options.Rows.Seed), validation = SftDataset.Read(options.ValidationDataset, options.Rows.Seed);
        (IReadOnlyList<SftRecord> train, IReadOnlyList<SftRecord> heldOut) = all.Split(options.SplitDatasetRatio, options.Rows.Seed);
        var data = new SftData(
            options,
            tokenizer,
            SftSamples.Build(train, builder, maxLength, options.Truncation, cancellation),
            SftSamples.Build([.. heldOut, .. validation.Records], builder, maxLength, options.Truncation, cancellation),
            [.. all.Bad, .. validation.Bad],
            maxLength);
        data.RejectedResponses = all.Records.Count(record => record.RejectedResponse is not null);
        if (options.Strict && data.Bad.Count > 0)
            throw new FormatException($"{data.Bad[0].Place}: {data.Bad[0].Reason}{(data.Bad.Count > 1 ? $" ({data.Bad.Count - 1} more bad records)" : "")}");
        return data;
    }

    /// <summary>The rows to train on.</summary>
    /// <param name="options">How samples become rows, whose length is <see cref="MaxLength"/>; null for what the data was loaded with.</param>
    /// <exception cref="ArgumentException">No sample is left.</exception>
    public SftRows Rows(SftRowOptions? options = null) => new(Train.Samples, (options ?? _options.Rows) with { RowLength = MaxLength });

    /// <summary>Held-out samples in micro-batches.</summary>
    /// <param name="channel">Only those of one source; null for all.</param>
    public IReadOnlyList<MicroBatch> HeldOutBatches(string? channel = null) =>
        [.. HeldOut.Samples.Where(sample => channel is null || sample.Channel == channel).Chunk(_options.Rows.MicroBatchSize).Select(chunk => new MicroBatch([.. chunk.Select(sample => new[] { sample.ToDocument() })]))];

    // What depends on the template: ms-swift ignores empty think blocks for models that can think, and keeps earlier thinking where every turn is learned.
    private static SftSampleOptions SampleOptions(SftOptions options, ChatTemplate? template)
    {
        SftSampleOptions sample = options.Sample;
        if (template is null)
            return sample;
        if (options.IgnoreEmptyThink && template.Grammar.Thinking && sample.LossScale.Turns != LossTurns.All)
            sample = sample with { LossScale = sample.LossScale with { IgnoreEmptyThink = true } };
        bool canPreserve = template.Source.Contains("clear_thinking", StringComparison.Ordinal);
        return sample.PreserveThinking is null && canPreserve && sample.LossScale.Turns == LossTurns.Default ? sample with { PreserveThinking = true } : sample;
    }
}
