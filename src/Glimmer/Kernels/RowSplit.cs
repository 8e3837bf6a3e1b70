namespace Glimmer.Kernels;

/// <summary>Shares the rows (or column groups) of a kernel among the threads of a team. Rows are independent, so the split changes no bits.</summary>
internal static unsafe class RowSplit
{
    // Below this much work waking the team costs more than it saves. About 10 microseconds of one core.
    private const long WorthSharing = 1 << 15;

    /// <summary>Calls <paramref name="body"/> for ranges of rows that cover 0 to <paramref name="rows"/> - 1.</summary>
    /// <param name="team">Threads, or null to run on the caller alone.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="work">Elements in a row.</param>
    /// <param name="body">Receives the arguments, the first row and the row after the last.</param>
    /// <param name="args">Passed on.</param>
    public static void Run<TArgs>(ThreadTeam? team, int rows, long work, delegate*<TArgs*, int, int, void> body, TArgs* args)
        where TArgs : unmanaged
    {
        if (team is null || team.Threads == 1 || rows < 2 || rows * work < WorthSharing)
        {
            if (rows > 0)
                body(args, 0, rows);
            return;
        }

        var call = new Call<TArgs> { Body = body, Args = args, Rows = rows };
        team.Run(&Share<TArgs>, &call);
    }

    private static void Share<TArgs>(void* state, int thread, int threads)
        where TArgs : unmanaged
    {
        var call = (Call<TArgs>*)state;
        int first = (int)((long)call->Rows * thread / threads), end = (int)((long)call->Rows * (thread + 1) / threads);
        if (first < end)
            call->Body(call->Args, first, end);
    }

    private struct Call<TArgs>
        where TArgs : unmanaged
    {
        public delegate*<TArgs*, int, int, void> Body;
        public TArgs* Args;
        public int Rows;
    }
}
