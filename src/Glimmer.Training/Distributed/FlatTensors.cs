using Glimmer.Kernels;
using Glimmer.Tensors;

namespace Glimmer.Training.Distributed;

/// <summary>Fp32 tensors seen as one row of numbers, one behind the other, to be sent in pieces.</summary>
internal sealed unsafe class FlatTensors
{
    private readonly Tensor[] _tensors;
    private readonly long[] _starts; // of each tensor, and the end

    public FlatTensors(IEnumerable<Tensor> tensors)
    {
        _tensors = [.. tensors];
        _starts = new long[_tensors.Length + 1];
        for (int i = 0; i < _tensors.Length; i++)
            _starts[i + 1] = _starts[i] + _tensors[i].Count;
    }

    /// <summary>Copies a piece out.</summary>
    public void Read(long first, Span<float> piece) => Each(first, piece, static (own, part, count) => new Span<float>(own, count).CopyTo(new Span<float>(part, count)));

    /// <summary>Overwrites a piece.</summary>
    public void Write(long first, Span<float> piece) => Each(first, piece, static (own, part, count) => new Span<float>(part, count).CopyTo(new Span<float>(own, count)));

    /// <summary><c>own[i] = own[i] + piece[i]</c>.</summary>
    public void Add(long first, Span<float> piece) => Each(first, piece, static (own, part, count) => Elementwise.Add(null, own, part, count, own));

    private delegate void Visit(float* own, float* part, int count);

    private void Each(long first, Span<float> piece, Visit visit)
    {
        int i = Array.BinarySearch(_starts, first);
        i = i < 0 ? ~i - 1 : i;
        fixed (float* parts = piece)
        {
            for (int done = 0; done < piece.Length; i++)
            {
                long at = first + done;
                int count = (int)Math.Min(piece.Length - done, _starts[i + 1] - at);
                visit(_tensors[i].F32Pointer + (at - _starts[i]), parts + done, count);
                done += count;
            }
        }
    }
}
