using System.Globalization;
using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Server.Http;
using Glimmer.Server.Turns;
using Microsoft.AspNetCore.Http;

namespace Glimmer.Server.Native;

/// <summary>Endpoints that control the engine; they need the admin key, or a loopback peer.</summary>
/// <param name="state">The server.</param>
internal sealed class Control(ServerState state)
{
    private WeightControl Engine => state.Runner.Model.Control
        ?? throw new ApiException(ApiErrorKind.NotImplemented, "This server replays a script; there is no engine to control.");

    /// <summary>Endpoints of GPU servers that make no sense on this machine.</summary>
    public static Task NotHereAsync(HttpContext context) =>
        throw new ApiException(ApiErrorKind.NotImplemented, $"{context.Request.Path} is not built into this server. Use /update_weights_from_disk.");

    /// <summary><c>/flush_cache</c>: forgets cached prefixes; 400 while requests run or wait.</summary>
    public async Task FlushAsync(HttpContext context)
    {
        if (!await Engine.FlushAsync().ConfigureAwait(false))
            throw ApiException.Invalid("Requests run or wait; the cache is flushed when there are none. Try again.");
        await SuccessAsync(context, "The cache is flushed.").ConfigureAwait(false);
    }

    /// <summary><c>/abort_request</c>: ends requests by the beginning of their id, or all.</summary>
    public async Task AbortAsync(HttpContext context)
    {
        Fields body = await ReadAsync(context).ConfigureAwait(false);
        bool all = body.Flag("abort_all") ?? false;
        string? id = body.Text("rid");
        if (!all && string.IsNullOrEmpty(id))
            throw ApiException.Invalid("Give rid, or abort_all.", "rid");
        int aborted = state.Runner.Live.Abort(all ? "" : id!);
        await SuccessAsync(context, $"{aborted} requests aborted.").ConfigureAwait(false);
    }

    /// <summary><c>/pause_generation</c>.</summary>
    public async Task PauseAsync(HttpContext context)
    {
        Fields body = await ReadAsync(context).ConfigureAwait(false);
        PauseMode mode = body.Text("mode") switch
        {
            null or "abort" => PauseMode.Abort,
            "retract" => PauseMode.Retract,
            "in_place" => PauseMode.InPlace,
            { } other => throw ApiException.Invalid($"mode is '{other}'; expected abort, retract or in_place.", "mode"),
        };
        int requests = await Engine.PauseAsync(mode).ConfigureAwait(false);
        await SuccessAsync(context, $"Paused; {requests} requests were running or waiting.").ConfigureAwait(false);
    }

    /// <summary><c>/continue_generation</c>.</summary>
    public async Task ContinueAsync(HttpContext context)
    {
        await Engine.ContinueAsync().ConfigureAwait(false);
        await SuccessAsync(context, "Running.").ConfigureAwait(false);
    }

    /// <summary><c>/release_memory_occupation</c>: gives the memory of keys and values back and lets new requests wait; 400 while requests run or wait. Weights stay.</summary>
    public async Task ReleaseAsync(HttpContext context)
    {
        if (!await HasCacheTagAsync(context).ConfigureAwait(false))
        {
            await SuccessAsync(context, "Nothing is released: the weights stay in memory.").ConfigureAwait(false);
            return;
        }

        long bytes = await Engine.ReleaseMemoryAsync().ConfigureAwait(false)
            ?? throw ApiException.Invalid("Requests run or wait; memory is released when there are none. Abort them, or try again.");
        string size = bytes < 1 << 20 ? string.Create(CultureInfo.InvariantCulture, $"{bytes / 1024.0:0.#} KiB") : string.Create(CultureInfo.InvariantCulture, $"{bytes / 1048576.0:0.#} MiB");
        await SuccessAsync(context, $"{size} of keys and values are released; requests wait for /resume_memory_occupation.").ConfigureAwait(false);
    }

    /// <summary><c>/resume_memory_occupation</c>.</summary>
    public async Task ResumeAsync(HttpContext context)
    {
        if (await HasCacheTagAsync(context).ConfigureAwait(false))
            await Engine.ContinueAsync().ConfigureAwait(false);
        await SuccessAsync(context, "Running.").ConfigureAwait(false);
    }

    /// <summary><c>/update_weights_from_disk</c>: all or nothing; refused while requests run unless the engine is paused or they are aborted.</summary>
    public async Task UpdateAsync(HttpContext context)
    {
        Fields body = await ReadAsync(context).ConfigureAwait(false);
        string path = body.RequiredText("model_path");
        if (body.Text("load_format") is { } format and not ("auto" or "safetensors" or "gguf"))
            throw ApiException.Invalid($"load_format is '{format}'; expected auto, safetensors or gguf.", "load_format");
        CheckPath(path);
        if (body.Flag("abort_all_requests") == true)
            state.Runner.Live.Abort("");
        else if (!Engine.IsPaused && state.Runner.Live.Count > 0)
            throw ApiException.Invalid($"{state.Runner.Live.Count} requests run or wait. Pause the generation first, or set abort_all_requests.");
        bool isPaused = Engine.IsPaused;
        try
        {
            await Engine.UpdateAsync(path, body.Text("weight_version"), context.RequestAborted).ConfigureAwait(false);
        }
        catch (Exception error) when (error is ModelFormatException or UnsupportedModelException or IOException or UnauthorizedAccessException)
        {
            // The old weights go on.
            await AnswerAsync(context, false, error.Message, 0, StatusCodes.Status400BadRequest).ConfigureAwait(false);
            return;
        }

        int paused = isPaused ? state.Runner.Live.Count : 0;
        if (isPaused && body.Flag("keep_pause") != true)
            await Engine.ContinueAsync().ConfigureAwait(false);
        await AnswerAsync(context, true, $"The weights are those of {Path.GetFileName(Path.TrimEndingDirectorySeparator(path))}.", paused, StatusCodes.Status200OK).ConfigureAwait(false);
    }

    /// <summary><c>/update_weight_version</c>: renames the weights.</summary>
    public async Task NameWeightsAsync(HttpContext context)
    {
        Fields body = await ReadAsync(context).ConfigureAwait(false);
        Engine.Version = body.RequiredText(body.Has("new_version") ? "new_version" : "weight_version");
        await SuccessAsync(context, "Renamed.").ConfigureAwait(false);
    }

    /// <summary><c>/get_weight_version</c>.</summary>
    public Task WeightsNameAsync(HttpContext context) => JsonResponse.WriteAsync(context, json =>
    {
        json.WriteStartObject();
        json.WriteString("weight_version", Engine.Version);
        json.WriteEndObject();
    });

    // A server that others can reach loads only what lies under the folders that it was told.
    private void CheckPath(string path)
    {
        if (state.Options.WeightRoots.Count == 0 && ServerOptions.IsLoopback(state.Options.Host))
            return;
        string model = Path.GetFullPath(state.Runner.Model.Path);
        IEnumerable<string> roots = state.Options.WeightRoots.Count > 0 ? state.Options.WeightRoots.Select(Path.GetFullPath) : [Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(model)) ?? model];
        string full = Path.GetFullPath(path);
        if (!roots.Any(root => full.StartsWith(Path.TrimEndingDirectorySeparator(root) + Path.DirectorySeparatorChar, StringComparison.Ordinal)))
            throw new ApiException(ApiErrorKind.Forbidden, "model_path lies outside of the folders that weights may come from (--allow-weight-root).", "model_path");
    }

    // Which memory is meant; without tags all of it.
    private async Task<bool> HasCacheTagAsync(HttpContext context)
    {
        IReadOnlyList<string> tags = (await ReadAsync(context).ConfigureAwait(false)).TextOrTexts("tags");
        if (tags.FirstOrDefault(tag => tag is not ("weights" or "kv_cache" or "cuda_graph")) is { } unknown)
            throw ApiException.Invalid($"tags names '{unknown}'; expected weights, kv_cache or cuda_graph.", "tags");
        return tags.Count == 0 || tags.Contains("kv_cache");
    }

    private async Task<Fields> ReadAsync(HttpContext context) =>
        context.Request.ContentLength is null or 0 && !context.Request.Headers.ContainsKey("Transfer-Encoding")
            ? new Fields([])
            : await RequestBody.ReadAsync(context, state.Options.MaxRequestBytes).ConfigureAwait(false);

    private static Task SuccessAsync(HttpContext context, string message) => AnswerAsync(context, true, message, null, StatusCodes.Status200OK);

    private static Task AnswerAsync(HttpContext context, bool success, string message, int? paused, int status) => JsonResponse.WriteAsync(
        context,
        json =>
        {
            json.WriteStartObject();
            json.WriteBoolean("success", success);
            json.WriteString("message", message);
            if (paused is { } count)
                json.WriteNumber("num_paused_requests", count);
            json.WriteEndObject();
        },
        status);
}
