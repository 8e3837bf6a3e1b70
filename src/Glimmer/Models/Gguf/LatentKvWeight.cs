using Glimmer.Formats;

namespace Glimmer.Models.Gguf;

/// <summary>
/// kv_b_proj [heads * (nope + v), latent] put together from attn_k_b [heads, latent, nope] and attn_v_b [heads, v, latent]: rows 0..nope-1 of a head are the
/// columns of its key matrix, the others its value matrix.
/// </summary>
internal sealed class LatentKvWeight : Weight
{
    private readonly StoredWeight _keys;
    private readonly StoredWeight _values;
    private readonly int _nope;
    private readonly int _value;
    private readonly int _latent;

    public LatentKvWeight(string name, StoredWeight keys, StoredWeight values)
        : base(new TensorInfo(name, keys.Info.Type, [keys.Info.Shape[0] * (keys.Info.Shape[2] + values.Info.Shape[1]), values.Info.Shape[2]],
            keys.Info.SizeBytes + values.Info.SizeBytes, isComputed: true))
    {
        _keys = keys;
        _values = values;
        _latent = values.Info.Shape[2];
        _value = values.Info.Shape[1];
        _nope = keys.Info.Shape[2];
    }

    public override void ReadFloat32(long firstRow, int rows, Span<float> values)
    {
        int headRows = _nope + _value;
        var keys = new float[_latent * _nope];
        for (int done = 0; done < rows;)
        {
            // The part of one head that lies in the range.
            long head = (firstRow + done) / headRows;
            int start = (int)((firstRow + done) % headRows);
            int end = Math.Min(headRows, start + rows - done);
            if (start < _nope)
                _keys.ReadFloat32(head * _latent, _latent, keys);
            for (int row = start; row < end; row++, done++)
            {
                Span<float> target = values.Slice(done * _latent, _latent);
                if (row >= _nope)
                    _values.ReadFloat32(head * _value + row - _nope, 1, target);
                else
                    for (int c = 0; c < _latent; c++)
                        target[c] = keys[c * _nope + row];
            }
        }
    }
}
