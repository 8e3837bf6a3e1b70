using Glimmer.Chat;
using Glimmer.Formats;
using Glimmer.Inference;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Tokenization;
using Glimmer.Training.Sft;

namespace Glimmer.Training.Checkpoints;

/// <summary>Figures of the weights of a checkpoint that a broken conversion would show.</summary>
/// <param name="Tensors">Number of tensors.</param>
/// <param name="Parameters">Number of values.</param>
/// <param name="AbsoluteSum">Sum of the absolute values.</param>
/// <param name="Zeros">Number of zeros.</param>
/// <param name="Warnings">Tensors that are all zero, not finite, or beyond 1e10.</param>
public sealed record WeightFigures(int Tensors, long Parameters, double AbsoluteSum, long Zeros, IReadOnlyList<string> Warnings);

/// <summary>What two checkpoints of one model have in common: the same weights, and the same logits for a fixed conversation.</summary>
/// <remarks>As ms-swift's <c>test_convert_precision</c> (<c>megatron/utils/convert_utils.py</c>), which passes when the mean over the tokens with loss is below 0.1; here it is 1e-4, and every tensor is compared.</remarks>
public sealed record ConversionTest
{
    private const double Passing = 1e-4;

    /// <summary>Weights of the first checkpoint.</summary>
    public required WeightFigures Before { get; init; }

    /// <summary>Weights of the second checkpoint.</summary>
    public required WeightFigures After { get; init; }

    /// <summary>Tensors whose values differ, in checkpoints of one element type; with different types, rounding is expected and logits decide.</summary>
    public required IReadOnlyList<string> DifferentTensors { get; init; }

    /// <summary>Whether some tensor is stored in another element type than before.</summary>
    public required bool IsRounded { get; init; }

    /// <summary>Mean of the absolute difference of the logits, for each token of the conversation.</summary>
    public required IReadOnlyList<double> TokenDifferences { get; init; }

    /// <summary>Mean of the differences over all tokens.</summary>
    public required double MeanDifference { get; init; }

    /// <summary>Largest difference of any logit.</summary>
    public required double LargestDifference { get; init; }

    /// <summary>Mean of the differences over the tokens with loss.</summary>
    public required double LossMeanDifference { get; init; }

    /// <summary>Largest difference over the tokens with loss.</summary>
    public required double LossLargestDifference { get; init; }

    /// <summary>Most likely ids by the first checkpoint.</summary>
    public required IReadOnlyList<int> BestBefore { get; init; }

    /// <summary>Most likely ids by the second checkpoint.</summary>
    public required IReadOnlyList<int> BestAfter { get; init; }

    /// <summary>Tokens whose most likely id differs.</summary>
    public int DifferentBest => BestBefore.Zip(BestAfter).Count(pair => pair.First != pair.Second);

    /// <summary>Whether the conversion is right: no tensor differs (but for another element type), and the logits agree.</summary>
    public bool Passes => DifferentTensors.Count == 0 && (IsRounded ? LossMeanDifference < 0.1 : LossMeanDifference < Passing);

    /// <summary>Compares two checkpoints. The models are loaded one after the other; activations are fp32.</summary>
    /// <param name="before">The first, anything <see cref="Checkpoint.Open"/> takes.</param>
    /// <param name="after">The second.</param>
    /// <param name="threads">Computing threads.</param>
    /// <exception cref="ModelFormatException">A checkpoint is malformed, or the two do not have the same tensors.</exception>
    public static ConversionTest Run(string before, string after, int threads)
    {
        (WeightFigures first, WeightFigures second, List<string> different, bool isRounded) = CompareWeights(before, after);
        (int[] tokens, bool[] loss) = Conversation(before);
        float[] ours = Logits(before, tokens, threads), theirs = Logits(after, tokens, threads);
        int vocabulary = ours.Length / tokens.Length;
        var means = new double[tokens.Length];
        double largest = 0, lossLargest = 0;
        for (int t = 0; t < tokens.Length; t++)
        {
            double sum = 0, most = 0;
            for (int i = t * vocabulary; i < (t + 1) * vocabulary; i++)
            {
                double difference = Math.Abs((double)ours[i] - theirs[i]);
                sum += difference;
                most = Math.Max(most, difference);
            }

            means[t] = sum / vocabulary;
            largest = Math.Max(largest, most);
            lossLargest = Math.Max(lossLargest, loss[t] ? most : 0);
        }

        return new ConversionTest
        {
            Before = first,
            After = second,
            DifferentTensors = different,
            IsRounded = isRounded,
            TokenDifferences = means,
            MeanDifference = means.Average(),
            LargestDifference = largest,
            LossMeanDifference = means.Where((_, t) => loss[t]).Average(),
            LossLargestDifference = lossLargest,
            BestBefore = Best(ours, vocabulary),
            BestAfter = Best(theirs, vocabulary),
        };
    }

    private static (WeightFigures Before, WeightFigures After, List<string> Different, bool IsRounded) CompareWeights(string before, string after)
    {
        using Checkpoint first = Checkpoint.Open(before), second = Checkpoint.Open(after);
        string[] names = [.. first.Weights.Tensors.Select(tensor => tensor.Name)];
        // An export repeats matrices of the trunk in the MTP layer: they count as the same where they do.
        Dictionary<string, string> repeats = CheckpointConverter.Repeats(first).ToDictionary(repeat => repeat.Name, repeat => repeat.Of);
        string[] absent = [.. names.Except(second.Weights.Tensors.Select(tensor => tensor.Name)), .. second.Weights.Tensors.Select(tensor => tensor.Name).Except(names).Except(repeats.Keys)];
        if (absent.Length > 0)
            throw new ModelFormatException($"'{before}' and '{after}' do not hold the same tensors: only one has '{absent[0]}'.");
        var different = new List<string>();
        bool isRounded = false;
        Figures ours = new(), theirs = new();
        foreach (string name in names.Concat(repeats.Keys.Where(name => second.Weights.Find(name) is not null)))
        {
            string source = repeats.GetValueOrDefault(name, name);
            TensorInfo a = first.Weights.Get(source), b = second.Weights.Get(name);
            bool sameType = a.Type == b.Type, isSame = a.Shape.SequenceEqual(b.Shape);
            isRounded |= !sameType;
            ours.Begin(name);
            theirs.Begin(name);
            float[] left = new float[a.RowLength], right = new float[b.RowLength];
            for (long row = 0; row < Math.Max(a.Rows, b.Rows); row++)
            {
                if (row < a.Rows)
                {
                    first.Weights.ReadFloat32Rows(source, row, 1, left);
                    ours.Add(left);
                }

                if (row < b.Rows)
                {
                    second.Weights.ReadFloat32Rows(name, row, 1, right);
                    theirs.Add(right);
                }

                isSame = isSame && (!sameType || System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(left).SequenceEqual(System.Runtime.InteropServices.MemoryMarshal.AsBytes<float>(right)));
            }

            if (!isSame)
                different.Add(name);
        }

        return (ours.Result, theirs.Result, different, isRounded);
    }

    // One fixed short conversation in training form; fixed ids for a model without a tokenizer.
    private static (int[] Tokens, bool[] Loss) Conversation(string model)
    {
        using Checkpoint checkpoint = Checkpoint.Open(model);
        int vocabulary = checkpoint.Config.VocabSize;
        try
        {
            Tokenizer tokenizer = TokenizerFiles.Open(model);
            var record = new SftRecord
            {
                Place = new RecordPlace("conversion test", 1),
                Messages = [new SftMessage(ChatMessage.User("Introduce yourself.")), new SftMessage(ChatMessage.Assistant("I am a language model. What can I do for you?"))],
            };
            ChatTemplate? template = TokenizerFiles.TemplateOf(tokenizer);
            SftSample sample = new SftSampleBuilder(tokenizer, template).Build(template is null ? record with { Messages = [], Text = "Introduce yourself. I am a language model." } : record);
            if (sample.Tokens.All(id => id < vocabulary))
                return (sample.Tokens, [.. sample.Weights.Select(weight => weight > 0)]);
        }
        catch (FileNotFoundException)
        {
            // Only weights: any ids show whether they are in their places.
        }

        int[] ids = [.. Enumerable.Range(0, 24).Select(i => (i * 7) % vocabulary)];
        return (ids, [.. ids.Select((_, i) => i > 0)]);
    }

    private static float[] Logits(string path, int[] tokens, int threads)
    {
        using Checkpoint checkpoint = Checkpoint.Open(path);
        using var team = new ThreadTeam(threads);
        using CausalLm model = checkpoint.LoadModel(team);
        using var c = new Compute(team);
        c.Begin();
        var batch = new Batch();
        batch.AddDocument(tokens);
        return model.Logits(c, model.Forward(c, batch)).F32.ToArray();
    }

    private static int[] Best(float[] logits, int vocabulary) => [.. Enumerable.Range(0, logits.Length / vocabulary).Select(t => TopK.ArgMax(logits.AsSpan(t * vocabulary, vocabulary)))];

    private sealed class Figures
    {
        private readonly List<string> _warnings = [];
        private string? _name;
        private long _count;
        private long _zeros;
        private long _tensorCount;
        private long _tensorZeros;
        private bool _isBroken;
        private double _sum;
        private int _tensors;

        public WeightFigures Result
        {
            get
            {
                End();
                return new WeightFigures(_tensors, _count, _sum, _zeros, _warnings);
            }
        }

        public void Begin(string name)
        {
            End();
            (_name, _tensorCount, _tensorZeros, _isBroken) = (name, 0, 0, false);
            _tensors++;
        }

        public void Add(ReadOnlySpan<float> values)
        {
            foreach (float value in values)
            {
                _sum += Math.Abs((double)value);
                _tensorZeros += value == 0 ? 1 : 0;
                _isBroken |= !(Math.Abs(value) <= 1e10f);
            }

            _tensorCount += values.Length;
        }

        private void End()
        {
            _count += _tensorCount;
            _zeros += _tensorZeros;
            if (_name is not null && _isBroken)
                _warnings.Add($"{_name} holds values that are not finite or beyond 1e10");
            else if (_name is not null && _tensorCount > 0 && _tensorZeros == _tensorCount && !_name.EndsWith("e_score_correction_bias", StringComparison.Ordinal))
                _warnings.Add($"{_name} is all zero");
            (_name, _tensorCount, _tensorZeros) = (null, 0, 0);
        }
    }
}
