using System.Runtime.InteropServices;
using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Tokenization;

namespace Glimmer.Inference.Quality;

/// <summary>Compares a converted model with its source: perplexity, and the divergence of the distributions at every position of a text.</summary>
/// <remarks>
/// The models are loaded one after another; the logits of the source wait in a temporary file. Texts longer than <see cref="WindowTokens"/> are computed in windows without a common context.
/// </remarks>
public static class QualityComparison
{
    /// <summary>Tokens of a window.</summary>
    public const int WindowTokens = 1024;

    private const int PassTokens = 128;

    /// <summary>A short text of prose, dialogue, code, lists and numbers that comes with the library.</summary>
    public static string DefaultText { get; } = ReadDefaultText();

    /// <summary>Compares two models.</summary>
    /// <param name="source">Path of the source.</param>
    /// <param name="model">Path of the model.</param>
    /// <param name="text">Text to predict, in the source's tokens.</param>
    /// <param name="threads">Computing threads.</param>
    /// <param name="progress">Told what is done.</param>
    /// <param name="cancellationToken">Ends between two passes.</param>
    /// <exception cref="ArgumentException">The text has fewer than two tokens.</exception>
    /// <exception cref="UnsupportedModelException">The models have different vocabularies.</exception>
    public static QualityReport Measure(string source, string model, string text, int threads, IProgress<string>? progress = null, CancellationToken cancellationToken = default)
    {
        int[] tokens = Tokens(source, text);
        if (tokens.Length < 2)
            throw new ArgumentException($"The text has {tokens.Length} tokens; at least two are needed, because the first has no prediction.", nameof(text));
        return Measure(source, model, tokens, threads, progress, cancellationToken);
    }

    /// <summary>Compares two models on tokens.</summary>
    /// <inheritdoc cref="Measure(string, string, string, int, IProgress{string}?, CancellationToken)"/>
    internal static QualityReport Measure(string source, string model, int[] tokens, int threads, IProgress<string>? progress = null, CancellationToken cancellationToken = default)
    {
        string path = Path.Combine(Path.GetTempPath(), $"glimmer-logits-{Guid.NewGuid():N}");
        using var logits = new FileStream(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, 1 << 16, FileOptions.DeleteOnClose);
        using var team = new ThreadTeam(threads);
        int vocabulary = 0;
        double sourceSum = 0;
        var target = new List<int>();
        Each(source, team, ActivationType.F32, tokens, "source", progress, cancellationToken, (row, next) =>
        {
            vocabulary = row.Length;
            logits.Write(MemoryMarshal.AsBytes(row));
            sourceSum += row[next] - LogSumExp(row);
            target.Add(next);
        });
        QualityFigures Figures(ActivationType activations, string name)
        {
            logits.Position = 0;
            var theirs = new float[vocabulary];
            var divergences = new List<double>();
            double sum = 0;
            int same = 0;
            Each(model, team, activations, tokens, name, progress, cancellationToken, (row, next) =>
            {
                if (row.Length != vocabulary)
                    throw new UnsupportedModelException($"'{model}' predicts {row.Length} tokens and its source {vocabulary}; they cannot be compared.");
                logits.ReadExactly(MemoryMarshal.AsBytes(theirs.AsSpan()));
                sum += row[next] - LogSumExp(row);
                divergences.Add(Divergence(theirs, row));
                same += TopK.ArgMax(theirs) == TopK.ArgMax(row) ? 1 : 0;
            });
            divergences.Sort();
            return new QualityFigures(
                Math.Exp(-sum / divergences.Count), divergences.Average(), divergences[(int)(0.99 * (divergences.Count - 1))], (double)same / divergences.Count);
        }

        QualityFigures f32 = Figures(ActivationType.F32, "fp32 activations"), q8 = Figures(ActivationType.Q8, "8-bit activations");
        return new QualityReport(target.Count, Math.Exp(-sourceSum / target.Count), f32, q8);
    }

    private static int[] Tokens(string path, string text)
    {
        using Checkpoint checkpoint = Checkpoint.Open(path);
        return LoadedModel.OpenTokenizer(checkpoint).Encode(text, new EncodeOptions { AddedTokens = AddedTokenMatching.None, AddSpecialTokens = true });
    }

    // Calls back with the logits of every position that has a next token, in order.
    private static void Each(
        string path, ThreadTeam team, ActivationType activations, int[] tokens, string name, IProgress<string>? progress, CancellationToken cancellationToken, RowReceiver receive)
    {
        using Checkpoint checkpoint = Checkpoint.Open(path);
        using CausalLm model = checkpoint.LoadModel(team);
        using var c = new Compute(team) { Activations = activations };
        var batch = new Batch();
        int window = Math.Min(WindowTokens, model.Config.MaxPositionEmbeddings);
        for (int start = 0; start < tokens.Length - 1; start += window)
        {
            int length = Math.Min(window, tokens.Length - start);
            using var cache = new KeyValueCache(model.CacheSlots);
            using CachedSequence sequence = cache.NewSequence();
            for (int first = 0; first < length; first += PassTokens)
            {
                cancellationToken.ThrowIfCancellationRequested();
                int count = Math.Min(PassTokens, length - first);
                batch.Clear();
                batch.AddCached(sequence, tokens.AsSpan(start + first, count), first);
                c.Begin();
                Tensor rows = model.Logits(c, model.Forward(c, batch));
                sequence.Commit(first + count);
                for (int i = 0; i < count && start + first + i + 1 < tokens.Length; i++)
                    receive(rows.F32.Slice(i * rows.Shape[1], rows.Shape[1]), tokens[start + first + i + 1]);
                progress?.Report($"{name}: {start + first + count} of {tokens.Length} tokens");
            }
        }
    }

    private delegate void RowReceiver(ReadOnlySpan<float> logits, int next);

    /// <summary>KL(p || q) of two rows of logits, in nats; never below 0.</summary>
    internal static double Divergence(ReadOnlySpan<float> p, ReadOnlySpan<float> q)
    {
        double lseP = LogSumExp(p), lseQ = LogSumExp(q), sum = 0;
        for (int i = 0; i < p.Length; i++)
        {
            double log = p[i] - lseP;
            sum += Math.Exp(log) * (log - (q[i] - lseQ));
        }

        return Math.Max(0, sum);
    }

    private static double LogSumExp(ReadOnlySpan<float> row)
    {
        double most = float.NegativeInfinity, sum = 0;
        foreach (float value in row)
            most = Math.Max(most, value);
        foreach (float value in row)
            sum += Math.Exp(value - most);
        return most + Math.Log(sum);
    }

    private static string ReadDefaultText()
    {
        using Stream stream = typeof(QualityComparison).Assembly.GetManifestResourceStream("quality-text.txt")!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
