using Glimmer.Kernels;

namespace Glimmer.Tests.Kernels;

public unsafe class ThreadTeamTests
{
    [Theory]
    [InlineData(1, 10_000)]
    [InlineData(2, 10_000)]
    [InlineData(3, 2_000)]
    [InlineData(9, 500)]
    public void Every_thread_runs_every_job_once(int threads, int jobs)
    {
        using var team = new ThreadTeam(threads);
        int* counts = stackalloc int[threads];
        new Span<int>(counts, threads).Clear();
        for (int job = 0; job < jobs; job++)
            team.Run(&Count, counts);
        for (int i = 0; i < threads; i++)
            Assert.Equal(jobs, counts[i]);

        static void Count(void* state, int thread, int threads) => ((int*)state)[thread]++;
    }

    [Fact]
    public void Sleeping_workers_wake_up()
    {
        using var team = new ThreadTeam(3);
        var job = new Barriers(team, 1);
        for (int i = 0; i < 50; i++)
        {
            Thread.Sleep(i % 3);
            team.Run(job);
        }

        Assert.Equal(150, job.Passed);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(5)]
    public void A_barrier_separates_the_phases(int threads)
    {
        using var team = new ThreadTeam(threads);
        var job = new Barriers(team, 300);
        for (int i = 0; i < 10; i++)
            team.Run(job);
        Assert.False(job.Torn);
        Assert.Equal(10 * 300 * threads, job.Passed);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void An_exception_of_any_thread_reaches_the_caller(int failing)
    {
        using var team = new ThreadTeam(3);
        var job = new Failing(team, failing);
        for (int i = 0; i < 20; i++)
        {
            var thrown = Assert.Throws<ArithmeticException>(() => team.Run(job));
            Assert.Equal($"thread {failing}", thrown.Message);
        }

        var after = new Barriers(team, 5);
        team.Run(after);
        Assert.Equal(15, after.Passed);
    }

    [Fact]
    public void A_job_cannot_start_another_job()
    {
        using var team = new ThreadTeam(2);
        Assert.Throws<InvalidOperationException>(() => team.Run(new Nested(team)));
        team.Run(new Barriers(team, 1));
    }

    [Fact]
    public void Running_a_job_allocates_nothing()
    {
        using var team = new ThreadTeam(2);
        var job = new Barriers(team, 1);
        for (int i = 0; i < 100; i++)
            team.Run(job);
        var windows = new AllocationWindows();
        for (int window = 0; window < 10; window++)
        {
            windows.Begin();
            for (int i = 0; i < 100; i++)
                team.Run(job);
            windows.End();
        }

        windows.AssertNone();
    }

    [Fact]
    public void A_disposed_team_refuses_jobs()
    {
        var team = new ThreadTeam(2);
        team.Dispose();
        team.Dispose();
        Assert.Throws<ObjectDisposedException>(() => team.Run(new Barriers(team, 1)));
    }

    private sealed class Barriers(ThreadTeam team, int rounds) : TeamJob
    {
        private readonly int[] _round = new int[team.Threads];
        private int _passed;

        public int Passed => _passed;

        public bool Torn { get; private set; }

        public override void Execute(int thread, int threads)
        {
            for (int i = 0; i < rounds; i++)
            {
                Volatile.Write(ref _round[thread], i);
                team.Barrier(thread);
                for (int other = 0; other < threads; other++)
                    Torn |= Volatile.Read(ref _round[other]) != i;
                team.Barrier(thread);
                Interlocked.Increment(ref _passed);
            }
        }
    }

    private sealed class Failing(ThreadTeam team, int failing) : TeamJob
    {
        public override void Execute(int thread, int threads)
        {
            if (thread == failing)
                throw new ArithmeticException($"thread {thread}");
            team.Barrier(thread);
        }
    }

    private sealed class Nested(ThreadTeam team) : TeamJob
    {
        public override void Execute(int thread, int threads)
        {
            if (thread == 0)
                team.Run(this);
        }
    }
}
