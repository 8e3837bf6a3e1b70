using System.Globalization;
using System.Text.Json;
using Glimmer.Chat;
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

    // Plain texts: characters at least, tokens at most.
    private const int ShortestText = 80;
    private const int TextTokens = 384;
    private const float TextWeight = 2;

    // Draws of instructions for each of the trunk's answers.
    private const int InstructionVariants = 4;

    private readonly NanoCorpus _corpus;
    private readonly SftSampleBuilder _builder;
    private readonly LoadedModel _trunk;
    private readonly List<TrainingRecord> _own;
    private readonly TrainingRecord[] _instructed;
    private readonly string[] _texts;
    private readonly NanoAnswers.Answer[] _complete;
    private readonly HashSet<TrainingDocument> _anchors = new(ReferenceEqualityComparer.Instance);

    /// <summary>Prepares the data.</summary>
    /// <param name="corpus">The generator.</param>
    /// <param name="model">Its tokenizer and template render the records.</param>
    /// <param name="trunk">The trunk, with its own template.</param>
    /// <param name="answers">The trunk's answers to the generator's prompts.</param>
    public NanoDocuments(NanoCorpus corpus, LoadedModel model, LoadedModel trunk, IReadOnlyList<NanoAnswers.Answer> answers)
    {
        (_corpus, _trunk) = (corpus, trunk);
        string[] texts = [.. corpus.Passages, .. answers.Select(answer => answer.Text.Trim()).Where(text => text.Length >= ShortestText)];
        var order = new ShuffledOrder(texts.Length, 0);
        _texts = [.. texts.Select((_, i) => texts[(int)order.At(0, i)])];
        _builder = new SftSampleBuilder(model.Tokenizer, model.Template, new SftSampleOptions { LossScale = LossScale.Parse("default+ignore_empty_think") });
        _complete = [.. answers.Where(answer => answer.IsComplete && answer.Text.Trim().Length > 0)];
        _own = [.. _complete.Select((answer, i) => NanoPrompts.Record(corpus.Prompts.All[answer.Prompt], answer.Text, thinks: i % 2 == 0))];
        _instructed = [.. Enumerable.Range(0, InstructionVariants).SelectMany(variant => _complete.Select(answer => corpus.InstructionRecord(answer.Prompt, answer.Text, variant))).OfType<TrainingRecord>()];
    }

    /// <summary>Records of each family that were used, by name; filled by <see cref="Take"/>.</summary>
    public SortedDictionary<string, double> Counts { get; } = new(StringComparer.Ordinal);

    /// <summary>Whether a document is a text on which the model is held to the trunk.</summary>
    public bool IsAnchor(TrainingDocument document) => _anchors.Contains(document);

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
                TrainingDocument document = family switch
                {
                    NanoFamily.Texts => Text(index),
                    NanoFamily.OwnAnswers => Render(_own[(int)(index % _own.Count)], index),
                    NanoFamily.Instructions when index % 3 != 0 && _instructed.Length > 0 => Render(_instructed[(int)((index - (index / 3) - 1) % _instructed.Length)], index),
                    _ => Render(_corpus.Record(family, index, split), index),
                };
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

    private TrainingDocument Text(long index)
    {
        int[] tokens = index % 2 == 0 || _complete.Length == 0 ? _trunk.Tokenizer.Encode(_texts[(int)(index / 2 % _texts.Length)]) : Conversation(index / 2);
        TrainingDocument next = TrainingDocument.NextToken(tokens.Length > TextTokens ? tokens[..TextTokens] : tokens);
        var document = new TrainingDocument(next.Tokens, next.Targets, [.. Enumerable.Repeat(TextWeight, next.Tokens.Length)]);
        _anchors.Add(document);
        return document;
    }

    // Two questions and the trunk's answers in the trunk's own format.
    private int[] Conversation(long index)
    {
        NanoAnswers.Answer first = _complete[(int)(index % _complete.Length)], second = _complete[(int)((index + 1 + (index / _complete.Length)) % _complete.Length)];
        ChatMessage[] messages = [.. new[] { first, second }.SelectMany(answer => new[] { ChatMessage.User(_corpus.Prompts.All[answer.Prompt]), ChatMessage.Assistant(answer.Text.Trim()) })];
        return _trunk.Encode(_trunk.RenderChat(messages, new ChatTemplateOptions { AddGenerationPrompt = false }));
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
