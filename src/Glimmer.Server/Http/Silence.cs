using System.Runtime.CompilerServices;

namespace Glimmer.Server.Http;

/// <summary>Notices silence in a stream, so that connections can be kept alive while a request waits.</summary>
internal static class Silence
{
    /// <summary>The items, with a null whenever nothing came for a while.</summary>
    /// <param name="items">The items.</param>
    /// <param name="interval">How long a silence is.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    public static async IAsyncEnumerable<T?> WithSilence<T>(
        this IAsyncEnumerable<T> items, TimeSpan interval, [EnumeratorCancellation] CancellationToken cancellationToken = default) where T : class
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        IAsyncEnumerator<T> reader = items.GetAsyncEnumerator(ended.Token);
        Task<bool>? pending = null;
        try
        {
            while (true)
            {
                ValueTask<bool> next = reader.MoveNextAsync();
                bool hasItem;
                if (next.IsCompletedSuccessfully)
                    hasItem = next.Result;
                else
                {
                    pending = next.AsTask();
                    while (!pending.IsCompleted && await Task.WhenAny(pending, Task.Delay(interval, ended.Token)).ConfigureAwait(false) != pending)
                    {
                        if (!ended.IsCancellationRequested)
                            yield return null;
                        else
                            break;
                    }

                    hasItem = await pending.ConfigureAwait(false);
                    pending = null;
                }

                if (!hasItem)
                    yield break;
                yield return reader.Current;
            }
        }
        finally
        {
            // A reader must not be disposed while it reads.
            if (pending is { IsCompleted: false })
            {
                await ended.CancelAsync().ConfigureAwait(false);
                await Task.WhenAny(pending).ConfigureAwait(false);
            }

            await reader.DisposeAsync().ConfigureAwait(false);
        }
    }
}
