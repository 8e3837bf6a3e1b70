using Glimmer.Models;

namespace Glimmer.Inference.Quality;

/// <summary>Writes a quantised GGUF file together with the measurement of what it lost: the library behind <c>glimmer quantize</c>.</summary>
public static class QuantizedCheckpoint
{
    /// <summary>Converts, measures, and notes in the file whether 8-bit activations are good enough to be its default.</summary>
    /// <param name="input">A checkpoint with a tokenizer.</param>
    /// <param name="output">The file, which ends in <c>.gguf</c> and does not exist; it appears when everything is done.</param>
    /// <param name="recipe">Types of the matrices.</param>
    /// <param name="text">Text to measure with.</param>
    /// <param name="threads">Computing threads.</param>
    /// <param name="converting">Told how far the conversion is.</param>
    /// <param name="measuring">Told how far the measurement is.</param>
    /// <param name="cancellationToken">Stops and leaves nothing behind.</param>
    /// <exception cref="IOException">The file exists, or cannot be written.</exception>
    /// <exception cref="UnsupportedModelException">The checkpoint has no tokenizer, or cannot be stored in GGUF.</exception>
    public static QualityReport Write(
        string input, string output, StorageRecipe recipe, string text, int threads, IProgress<ConversionProgress>? converting = null, IProgress<string>? measuring = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(output);
        if (File.Exists(output))
            throw new IOException($"'{output}' exists already. Delete it or choose another name.");
        string temporary = $"{output}.{Guid.NewGuid():N}.partial.gguf";
        try
        {
            CheckpointConverter.Convert(input, temporary, recipe, converting, [PreferredActivations.Metadata(q8: false)], cancellationToken);
            QualityReport report = QualityComparison.Measure(input, temporary, text, threads, measuring, cancellationToken);
            PreferredActivations.Write(temporary, report.PrefersQ8);
            File.Move(temporary, output);
            return report;
        }
        finally
        {
            File.Delete(temporary);
        }
    }
}
