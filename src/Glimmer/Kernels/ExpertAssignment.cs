namespace Glimmer.Kernels;

/// <summary>The (token, slot) pairs of a batch sorted by expert: which row of the gathered batch belongs to whom.</summary>
/// <remarks>The arrays belong to the caller. Rows of one expert keep the order of their tokens (the sort is stable).</remarks>
/// <param name="tokens">Tokens, T.</param>
/// <param name="chosen">Slots per token, K.</param>
/// <param name="experts">Experts, E.</param>
/// <param name="ids">Chosen experts, ascending within a token, [T, K].</param>
/// <param name="offsets">First row of each expert and the end, [E + 1].</param>
/// <param name="tokenOfRow">Token of each row, [T * K].</param>
/// <param name="slotOfRow">Slot of each row, [T * K].</param>
/// <param name="rowOfSlot">Row of each (token, slot), [T, K].</param>
internal readonly unsafe struct ExpertAssignment(int tokens, int chosen, int experts, int* ids, int* offsets, int* tokenOfRow, int* slotOfRow, int* rowOfSlot)
{
    public readonly int Tokens = tokens;
    public readonly int Chosen = chosen;
    public readonly int Experts = experts;
    public readonly int* Ids = ids;
    public readonly int* Offsets = offsets;
    public readonly int* TokenOfRow = tokenOfRow;
    public readonly int* SlotOfRow = slotOfRow;
    public readonly int* RowOfSlot = rowOfSlot;

    /// <summary>Rows of the gathered batch.</summary>
    public int Rows => Tokens * Chosen;

    /// <summary>Fills the arrays from <see cref="Ids"/> by a counting sort.</summary>
    /// <exception cref="ArgumentOutOfRangeException">An id is no expert.</exception>
    public void Sort()
    {
        new Span<int>(Offsets, Experts + 1).Clear();
        for (int i = 0; i < Rows; i++)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(Ids[i]);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(Ids[i], Experts);
            Offsets[Ids[i]]++;
        }

        // Counts become ends, and walking the pairs backwards turns ends into starts.
        for (int e = 1; e <= Experts; e++)
            Offsets[e] += Offsets[e - 1];
        for (int i = Rows - 1; i >= 0; i--)
        {
            int row = --Offsets[Ids[i]];
            TokenOfRow[row] = i / Chosen;
            SlotOfRow[row] = i % Chosen;
            RowOfSlot[i] = row;
        }
    }
}
