using Glimmer.Tensors;

namespace Glimmer.Operations;

/// <summary>One routed expert of a model whose experts stay on disk: where its packed matrices lie in the file and, while it is in memory, there.</summary>
internal sealed unsafe class StoredExpert(PackedMatrix gate, PackedMatrix up, PackedMatrix down)
{
    private readonly PackedMatrix[] _matrices = [gate, up, down];
    private readonly byte*[] _mapped = new byte*[3];
    private object? _file;

    /// <summary>First byte in the file.</summary>
    public long Offset { get; private set; }

    /// <summary>Bytes of the run that holds the three matrices; 0 when they are not in the file and so always in memory.</summary>
    public long Bytes { get; private set; }

    /// <summary>Memory that holds the run, or null.</summary>
    public NativeBuffer? Slot { get; set; }

    /// <summary>Whether <see cref="Slot"/> is filled. Set by the reading thread under the store's lock.</summary>
    public bool IsFilled { get; set; }

    /// <summary>Whether the current step needs it in memory.</summary>
    public bool IsPinned { get; set; }

    /// <summary>Whether reading ahead was asked for since it was last used.</summary>
    public bool IsForeseen { get; set; }

    /// <summary>The resident expert that was used next after this one, in the list of the store.</summary>
    public StoredExpert? Newer { get; set; }

    /// <summary>The resident expert that was used last before this one.</summary>
    public StoredExpert? Older { get; set; }

    /// <summary>Finds the matrices in the mapped file.</summary>
    public void Locate(byte* mapping, long length, object file)
    {
        long first = long.MaxValue, end = 0;
        for (int i = 0; i < _matrices.Length; i++)
        {
            _mapped[i] = _matrices[i].Data;
            long offset = _mapped[i] - mapping;
            if (offset < 0 || offset > length - _matrices[i].Bytes)
                return;
            first = Math.Min(first, offset);
            end = Math.Max(end, offset + _matrices[i].Bytes);
        }

        // Written in the order of loading, so they are neighbours; were they not, the run would hold others' bytes.
        if (end - first > _matrices.Sum(matrix => (matrix.Bytes + 63) & ~63L))
            return;
        (Offset, Bytes, _file) = (first, end - first, file);
    }

    /// <summary>Points the matrices at the slot.</summary>
    public void UseSlot(byte* mapping)
    {
        for (int i = 0; i < _matrices.Length; i++)
            Attach(i, Slot!.Pointer + (_mapped[i] - mapping - Offset), Slot);
    }

    /// <summary>Points the matrices back at the mapped file.</summary>
    public void UseFile()
    {
        for (int i = 0; i < _matrices.Length; i++)
            Attach(i, _mapped[i], _file!);
    }

    // Training replaces matrices and disposes the old ones.
    private void Attach(int index, byte* data, object owner)
    {
        if (!_matrices[index].IsDisposed)
            _matrices[index].Attach(data, owner);
    }
}
