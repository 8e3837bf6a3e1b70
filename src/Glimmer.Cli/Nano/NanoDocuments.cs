using System.Globalization;
using System.Text.Json;
using Glimmer.Data.Mixing;
using Glimmer.Data.Synthesis;
using Glimmer.Data.Synthesis.Nano;
using Glimmer.Inference;
using Glimmer.Training.Batching;
using Glimmer.Training.Sft;

namespace Glimmer.Cli.Nano;

/// <summary>The training data of Nano as documents: the families in their shares of the tokens, rendered and labelled with the template of the model.</summary>
internal sealed class NanoDocuments
{
    private const int LongestDocument = 1024;

    private readonly NanoCorpus _corpus;
    private readonly SftSampleBuilder _builder;
    private readonly List<TrainingRecord> _own;

    /// <summary>Prepares the data.</summary>
    /// <param name="corpus">The generator.</param>
    /// <param name="model">Its tokenizer and template render the records.</param>
    /// <param name="answers">The trunk's answers to the generator's prompts.</param>
    public NanoDocuments(NanoCorpus corpus, LoadedModel model, IReadOnlyList<NanoAnswers.Answer> answers)
    {
        _corpus = corpus;
        _builder = new SftSampleBuilder(model.Tokenizer, model.Template, new SftSampleOptions { LossScale = LossScale.Parse("default+ignore_empty_think") });
        _own = [.. answers.Where(answer => answer.IsComplete && answer.Text.Trim().Length > 0).Select(answer => NanoPrompts.Record(corpus.Prompts.All[answer.Prompt], answer.Text))];
    }

    /// <summary>Records of each family that were used, by name; filled by <see cref="Take"/>.</summary>
    public SortedDictionary<string, double> Counts { get; } = new(StringComparer.Ordinal);

    /// <summary>Documents of so many tokens in all, shuffled. Families that run out begin again.</summary>
    /// <param name="tokens">Tokens.</param>
    /// <param name="split">Validation: the first records of the generated families that no training takes.</param>
    /// <param name="seed">Seed of the order.</param>
    public IReadOnlyList<TrainingDocument> Take(long tokens, CorpusSplit split, ulong seed)
    {
        var documents = new List<TrainingDocument>();
        (NanoFamily Family, double Share)[] families = [.. NanoCorpus.Shares.Where(f => split == CorpusSplit.Train ? f.Family != NanoFamily.OwnAnswers || _own.Count > 0 : f.Family is NanoFamily.Tools or NanoFamily.Arithmetic)];
        double all = families.Sum(f => f.Share);
        foreach ((NanoFamily family, double share) in families)
        {
            double left = tokens * share / all;
            int used = 0, refused = 0;
            for (long index = 0; left > 0 && refused < 1000; index++)
            {
                TrainingRecord record = family == NanoFamily.OwnAnswers ? _own[(int)(index % _own.Count)] : _corpus.Record(family, index, split);
                TrainingDocument document = Render(record, index);
                if (document.Tokens.Length > LongestDocument)
                {
                    refused++;
                    continue;
                }

                documents.Add(document);
                left -= document.Tokens.Length;
                used++;
            }

            Counts[family.ToString()] = used;
        }

        var order = new ShuffledOrder(documents.Count, seed);
        return [.. documents.Select((_, i) => documents[(int)order.At(0, i)])];
    }

    private TrainingDocument Render(TrainingRecord record, long index)
    {
        using JsonDocument json = JsonDocument.Parse(record.ToJson());
        try
        {
            return _builder.Build(SftRecordParser.Parse(json.RootElement, new RecordPlace(record.Task, (int)index))).ToDocument();
        }
        catch (FormatException e)
        {
            throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"Record {index} of '{record.Task}' cannot be trained on: {e.Message}"), e);
        }
    }
}
