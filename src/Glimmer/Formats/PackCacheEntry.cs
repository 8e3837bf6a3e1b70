using Glimmer.Tensors;

namespace Glimmer.Formats;

/// <summary>One packed matrix of a <see cref="PackCacheFile"/>.</summary>
/// <param name="Name">Checkpoint name.</param>
/// <param name="Type">Type of the packed weights.</param>
/// <param name="Rows">Outputs.</param>
/// <param name="Columns">Inputs.</param>
/// <param name="PanelBytes">Bytes of one panel.</param>
/// <param name="Form">Mark of the packed form (<see cref="Glimmer.Quantization.PackedWeights.FormOf"/>) when it was written.</param>
/// <param name="Offset">First byte in the file; a multiple of 64. -1 where the matrix repeats <paramref name="SameAs"/>.</param>
/// <param name="Bytes">Packed bytes.</param>
/// <param name="SameAs">Name of the matrix with the same values that the model shares, or empty.</param>
internal sealed record PackCacheEntry(
    string Name, DType Type, int Rows, int Columns, long PanelBytes, ulong Form, long Offset, long Bytes, string SameAs = "");
