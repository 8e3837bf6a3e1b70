using System.Globalization;
using Glimmer.Tensors;

namespace Glimmer.Formats;

/// <summary>
/// The weights of a safetensors checkpoint. How a tensor is stored is decided by the tensors beside it, never by lists in the configuration:
/// <c>weight_scale_inv</c> (FP8 blocks), <c>weight_scale</c> (FP8 rows), <c>weight_packed</c> (INT4); a weight and its scale may lie in different shards.
/// </summary>
internal sealed class SafetensorsWeights
{
    private const string FusedGateUp = ".mlp.experts.gate_up_proj";
    private const string FusedDown = ".mlp.experts.down_proj";

    // Tensors that belong to quantisations Glimmer does not read: ignoring one of them would give wrong values.
    private static readonly string[] s_foreign =
    [
        ".qweight", ".qzeros", ".scales", ".g_idx", ".weight_g_idx", ".weight_scale_2", ".weight_global_scale", ".weight_scale", ".weight_scale_inv",
        ".weight_zero_point", ".weight_shape", "_proj_scale", "_proj_scale_inv", "_proj_scales", "_proj_blocks",
    ];

    private readonly string _path;
    private readonly Dictionary<string, StoredWeight> _stored = new(StringComparer.Ordinal);
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);
    private readonly (int Rows, int Columns) _fp8Block;

    private SafetensorsWeights(string path, (int Rows, int Columns) fp8Block)
    {
        _path = path;
        _fp8Block = fp8Block;
    }

    /// <summary>Opens a folder, an index or a single file.</summary>
    /// <param name="path">Folder, <c>model.safetensors.index.json</c> or <c>.safetensors</c> file.</param>
    /// <param name="fp8Block">Block size of <c>weight_scale_inv</c> (config: <c>weight_block_size</c>), usually 128 x 128.</param>
    /// <exception cref="ModelFormatException">Files are missing or contradict each other.</exception>
    /// <exception cref="UnsupportedModelException">The weights are quantised in a way Glimmer does not read.</exception>
    public static WeightSource Open(string path, (int Rows, int Columns)? fp8Block = null)
    {
        (int Rows, int Columns) block = fp8Block ?? (128, 128);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(block.Rows, nameof(fp8Block));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(block.Columns, nameof(fp8Block));
        List<SafetensorsFile> files = SafetensorsShards.Open(path);
        try
        {
            var builder = new SafetensorsWeights(path, block);
            return new WeightSource(path, builder.Build(files), files);
        }
        catch
        {
            foreach (SafetensorsFile file in files)
                file.Dispose();
            throw;
        }
    }

    private unsafe List<Weight> Build(List<SafetensorsFile> files)
    {
        var order = new List<string>();
        foreach (SafetensorsFile file in files)
        {
            foreach (TensorInfo info in file.Tensors)
            {
                if (!_stored.TryAdd(info.Name, new StoredWeight(info, file.Data(info.Name), file)))
                    throw new ModelFormatException($"Two shards of '{_path}' hold the tensor '{info.Name}', one of them '{file.Path}'.");
                order.Add(info.Name);
            }
        }

        var weights = new List<Weight>();
        foreach (string name in order)
        {
            if (name.EndsWith(".weight", StringComparison.Ordinal) && _stored.ContainsKey(name + "_scale_inv"))
                weights.Add(BlockScaled(name));
            else if (name.EndsWith(".weight", StringComparison.Ordinal) && _stored.ContainsKey(name + "_scale"))
                weights.Add(RowScaled(name));
            else if (name.EndsWith(".weight_packed", StringComparison.Ordinal))
                weights.Add(Packed(name[..^"_packed".Length]));
            else if (name.EndsWith(FusedGateUp, StringComparison.Ordinal))
                SplitExperts(name, name[..^".gate_up_proj".Length], ["gate_proj", "up_proj"], weights);
            else if (name.EndsWith(FusedDown, StringComparison.Ordinal))
                SplitExperts(name, name[..^".down_proj".Length], ["down_proj"], weights);
        }

        // The rest is stored as it is. Scales of activations (input_scale) change no weight.
        foreach (string name in order)
        {
            if (_used.Contains(name) || name.EndsWith(".input_scale", StringComparison.Ordinal))
                continue;
            if (Array.Exists(s_foreign, suffix => name.EndsWith(suffix, StringComparison.Ordinal)))
                throw new UnsupportedModelException($"'{_path}' holds '{name}', which belongs to a quantisation Glimmer does not read (block FP8, "
                    + "per-channel FP8 and 4-bit pack-quantized are read).");
            weights.Add(_stored[name]);
        }

        return weights;
    }

    private ScaledWeight BlockScaled(string name)
    {
        StoredWeight codes = Take(name);
        StoredWeight scales = Take(name + "_scale_inv");
        (int blockRows, int blockColumns) = _fp8Block;
        RequireFloat8(codes);
        RequireFloat(scales);
        ReadOnlySpan<int> shape = codes.Info.Shape;
        if (shape.Length != 2 || !scales.Info.Shape.SequenceEqual([CeilDivide(shape[0], blockRows), CeilDivide(shape[1], blockColumns)]))
            throw new ModelFormatException(
                $"'{_path}': {scales.Info} does not fit {codes.Info}; one scale for each {blockRows} x {blockColumns} block is expected.");
        return new ScaledWeight(codes, scales, blockRows, blockColumns);
    }

    private ScaledWeight RowScaled(string name)
    {
        StoredWeight codes = Take(name);
        StoredWeight scales = Take(name + "_scale");
        RequireFloat8(codes);
        RequireFloat(scales);
        ReadOnlySpan<int> shape = codes.Info.Shape;
        ReadOnlySpan<int> scaleShape = scales.Info.Shape;
        bool perRow = shape.Length == 2 && (scaleShape.SequenceEqual([shape[0], 1]) || scaleShape.SequenceEqual([shape[0]]));
        bool perTensor = scales.Info.Count == 1;
        if (!perRow && !perTensor)
            throw new ModelFormatException($"'{_path}': {scales.Info} does not fit {codes.Info}; one scale a row ([out, 1] or [out]) is expected.");
        return new ScaledWeight(codes, scales, perRow ? 1 : Math.Max(1, checked((int)codes.Info.Rows)), Math.Max(1, codes.Info.RowLength));
    }

    private PackedInt4Weight Packed(string name)
    {
        StoredWeight packed = Take(name + "_packed");
        StoredWeight scales = Take(name + "_scale");
        StoredWeight shape = Take(name + "_shape");
        if (_stored.ContainsKey(name + "_g_idx"))
            throw new UnsupportedModelException($"'{_path}' holds '{name}_g_idx': INT4 weights with activation order are not supported.");
        StoredWeight? zeroPoints = _stored.ContainsKey(name + "_zero_point") ? Take(name + "_zero_point") : null;
        RequireFloat(scales);
        Span<float> sizes = stackalloc float[2];
        if (shape.Info.Type is not (DType.I64 or DType.I32) || shape.Info.Count != 2)
            throw new ModelFormatException($"'{_path}': {shape.Info} is no [2] of whole numbers.");
        shape.ReadFloat32(0, checked((int)shape.Info.Rows), sizes);
        if (!(sizes[0] is >= 1 and <= 1 << 24 && sizes[1] is >= 1 and <= 1 << 24))
            throw new ModelFormatException($"'{_path}': '{shape.Info.Name}' says {sizes[0]} x {sizes[1]}, no possible size.");
        (int rows, int columns) = ((int)sizes[0], (int)sizes[1]);
        if (packed.Info.Type != DType.I32 || !packed.Info.Shape.SequenceEqual([rows, CeilDivide(columns, 8)]))
            throw new ModelFormatException(
                $"'{_path}': {packed.Info} does not hold {rows} x {columns} values of 4 bits; I32 [{rows}, {CeilDivide(columns, 8)}] is expected.");
        if (scales.Info.Shape.Length != 2 || scales.Info.Shape[0] != rows || scales.Info.RowLength == 0 || columns % scales.Info.RowLength != 0)
            throw new ModelFormatException($"'{_path}': {scales.Info} does not divide {columns} columns of {rows} rows into groups.");
        if (zeroPoints is not null && (zeroPoints.Info.Type != DType.I32 || !zeroPoints.Info.Shape.SequenceEqual([CeilDivide(rows, 8), scales.Info.RowLength])))
            throw new ModelFormatException($"'{_path}': {zeroPoints.Info} does not fit; I32 [{CeilDivide(rows, 8)}, {scales.Info.RowLength}] is expected.");
        return new PackedInt4Weight(name, rows, columns, packed, scales, zeroPoints);
    }

    // [E, parts * rows, columns]: the parts of expert e follow one another.
    private unsafe void SplitExperts(string name, string prefix, string[] parts, List<Weight> weights)
    {
        StoredWeight fused = Take(name);
        ReadOnlySpan<int> shape = fused.Info.Shape;
        if (shape.Length != 3 || shape[1] % parts.Length != 0)
            throw new ModelFormatException(
                $"'{_path}': {fused.Info} is no stack of experts [E, {(parts.Length == 2 ? "2 * width, hidden" : "hidden, width")}].");
        int[] partShape = [shape[1] / parts.Length, shape[2]];
        long partBytes = fused.Info.Type.ByteSize((long)partShape[0] * partShape[1]);
        Tensor view = fused.View();
        for (int e = 0; e < shape[0]; e++)
        {
            for (int p = 0; p < parts.Length; p++)
            {
                string expert = string.Create(CultureInfo.InvariantCulture, $"{prefix}.{e}.{parts[p]}.weight");
                weights.Add(new StoredWeight(new TensorInfo(expert, fused.Info.Type, partShape, partBytes),
                    view.Data + ((long)e * parts.Length + p) * partBytes, view.Owner!));
            }
        }
    }

    private StoredWeight Take(string name)
    {
        _used.Add(name);
        return _stored.TryGetValue(name, out StoredWeight? weight) ? weight
            : throw new ModelFormatException($"'{_path}' lacks '{name}', without which the weight beside it has no value.");
    }

    private void RequireFloat8(StoredWeight codes)
    {
        if (codes.Info.Type is not (DType.F8E4M3 or DType.F8E5M2))
            throw new UnsupportedModelException($"'{_path}': {codes.Info} has a scale, but only 8-bit floats are read that way.");
    }

    private void RequireFloat(StoredWeight scales)
    {
        if (scales.Info.Type is not (DType.F32 or DType.BF16 or DType.F16))
            throw new UnsupportedModelException($"'{_path}': {scales.Info} is a scale of a type Glimmer does not read (F32, BF16 and F16 are).");
    }

    private static int CeilDivide(int value, int divisor) => value == 0 ? 0 : (value - 1) / divisor + 1;
}
