using System.Globalization;
using System.Text;
using Glimmer.Inference;
using Glimmer.Server.Turns;
using Microsoft.AspNetCore.Http;

namespace Glimmer.Server.Metrics;

/// <summary><c>GET /metrics</c>: Prometheus text 0.0.4 with the names of SGLang and vLLM, so that their dashboards work, and a few of our own.</summary>
/// <param name="state">The server.</param>
internal sealed class MetricsPage(ServerState state)
{
    private const int BlockTokens = 64;
    private long _lastTokens;
    private long _lastTime;

    /// <summary>Writes the page.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        byte[] page = Encoding.UTF8.GetBytes(Text());
        context.Response.ContentType = "text/plain; version=0.0.4; charset=utf-8";
        context.Response.ContentLength = page.Length;
        await context.Response.Body.WriteAsync(page, context.RequestAborted).ConfigureAwait(false);
    }

    /// <summary>The page.</summary>
    public string Text()
    {
        TurnRunner runner = state.Runner;
        TurnMetrics turns = runner.Metrics;
        EngineStatistics now = runner.Model.Source.Statistics ?? new EngineStatistics(runner.Live.Count, 0, 0, turns.PromptTokens, turns.CachedTokens, turns.GeneratedTokens, 0, 0, 0, 0, 0, 0, 0);
        string model = state.Options.ModelNames[0].Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal);
        var page = new Page($"model_name=\"{model}\",engine_type=\"unified\"", $"model_name=\"{model}\",engine=\"0\"");
        double usage = now.MaxBlocks == 0 ? 0 : (double)now.BlocksInUse / now.MaxBlocks;
        double hits = now.PromptTokens == 0 ? 0 : (double)now.CachedTokens / now.PromptTokens;
        double accepted = now.DraftedTokens == 0 ? 0 : (double)now.AcceptedTokens / now.DraftedTokens;
        long passes = Math.Max(1, now.GeneratedTokens - now.AcceptedTokens);

        page.Sglang("num_running_reqs", "gauge", now.Running);
        page.Sglang("num_queue_reqs", "gauge", now.Waiting);
        page.Sglang("num_retracted_reqs", "gauge", now.Preemptions);
        page.Sglang("num_used_tokens", "gauge", (long)now.BlocksInUse * BlockTokens);
        page.Sglang("max_total_num_tokens", "gauge", (long)now.MaxBlocks * BlockTokens);
        page.Sglang("token_usage", "gauge", usage);
        page.Sglang("cache_hit_rate", "gauge", hits);
        page.Sglang("gen_throughput", "gauge", Throughput(now.GeneratedTokens));
        page.Sglang("spec_accept_rate", "gauge", accepted);
        page.Sglang("spec_accept_length", "gauge", now.GeneratedTokens == 0 ? 0 : (double)now.GeneratedTokens / passes);
        page.Sglang("prompt_tokens_total", "counter", now.PromptTokens);
        page.Sglang("generation_tokens_total", "counter", now.GeneratedTokens);
        page.Sglang("cached_tokens_total", "counter", now.CachedTokens, "cache_source=\"device\"");
        page.Sglang("num_requests_total", "counter", turns.Requests);
        page.Sglang("num_aborted_requests_total", "counter", turns.Aborted + turns.Ends(TurnEnd.Aborted));
        page.Sglang("time_to_first_token_seconds", turns.FirstTokenSglang);
        page.Sglang("inter_token_latency_seconds", turns.BetweenTokensSglang);
        page.Sglang("e2e_request_latency_seconds", turns.WholeSglang);
        page.Sglang("queue_time_seconds", turns.QueueSglang);
        page.Sglang("prompt_tokens_histogram", turns.PromptSglang);
        page.Sglang("generation_tokens_histogram", turns.OutputSglang);

        page.Vllm("num_requests_running", "gauge", now.Running);
        page.Vllm("num_requests_waiting", "gauge", now.Waiting);
        page.Vllm("kv_cache_usage_perc", "gauge", usage);
        page.Vllm("num_preemptions_total", "counter", now.Preemptions);
        page.Vllm("prefix_cache_queries_total", "counter", now.PromptTokens);
        page.Vllm("prefix_cache_hits_total", "counter", now.CachedTokens);
        page.Vllm("prompt_tokens_total", "counter", now.PromptTokens);
        page.Vllm("prompt_tokens_cached_total", "counter", now.CachedTokens);
        page.Vllm("generation_tokens_total", "counter", now.GeneratedTokens);
        page.Vllm("admission_rejections_total", "counter", turns.Rejected, "reason=\"queue_full\"");
        page.Vllm(
            "request_success_total", "counter",
            (turns.Ends(TurnEnd.Stop, TurnEnd.StopText, TurnEnd.Calls), "finished_reason=\"stop\""), (turns.Ends(TurnEnd.Length, TurnEnd.ContextFull), "finished_reason=\"length\""),
            (turns.Ends(TurnEnd.Aborted), "finished_reason=\"abort\""));
        page.Vllm("spec_decode_num_draft_tokens_total", "counter", now.DraftedTokens);
        page.Vllm("spec_decode_num_accepted_tokens_total", "counter", now.AcceptedTokens);
        page.Vllm("spec_decode_num_drafts_total", "counter", now.Drafts);
        page.Vllm("spec_decode_num_accepted_tokens_per_pos_total", "counter", [.. now.AcceptedByPlace.Select((count, place) => ((double)count, $"position=\"{place}\""))]);
        StepSizes sizes = now.Sizes ?? new StepSizes(new long[StepSizes.Bounds.Count + 1], 0);
        page.Vllm("iteration_tokens_total", [.. StepSizes.Bounds.Select(bound => (double)bound)], sizes.Counts, sizes.Positions);
        page.Vllm("time_to_first_token_seconds", turns.FirstTokenVllm);
        page.Vllm("inter_token_latency_seconds", turns.BetweenTokensVllm);
        page.Vllm("e2e_request_latency_seconds", turns.WholeVllm);
        page.Vllm("request_queue_time_seconds", turns.QueueVllm);
        page.Vllm("request_prefill_time_seconds", turns.Prefill);
        page.Vllm("request_decode_time_seconds", turns.Decode);
        page.Vllm("request_prompt_tokens", turns.PromptVllm);
        page.Vllm("request_generation_tokens", turns.OutputVllm);

        page.Own("steps_total", "counter", now.Steps);
        page.Own("prefix_cache_blocks", "gauge", now.PrefixBlocks);
        page.Own("live_requests", "gauge", runner.Live.Count);
        page.Own("client_disconnects_total", "counter", state.Http.Disconnects);
        page.Own(
            "http_responses_total", "counter",
            [.. state.Http.Answers.Select(answer => ((double)answer.Count, $"dialect=\"{answer.Key.Dialect}\",endpoint=\"{answer.Key.Endpoint}\",status=\"{answer.Key.Status}\""))]);
        page.Own("calls_cut_total", "counter", turns.CutCalls);
        page.Own("grammar_compile_seconds", runner.Model.Formats.CompileSeconds);
        page.Own("weight_version_info", "gauge", 1, $"version=\"{runner.Model.Control?.Version ?? "default"}\"");
        return page.ToString();
    }

    // Since the page was read last.
    private double Throughput(long tokens)
    {
        long time = state.Time.GetTimestamp();
        long before = Interlocked.Exchange(ref _lastTime, time);
        long generated = tokens - Interlocked.Exchange(ref _lastTokens, tokens);
        double seconds = before == 0 ? 0 : state.Time.GetElapsedTime(before, time).TotalSeconds;
        return seconds > 0 ? generated / seconds : 0;
    }

    private sealed class Page(string sglang, string vllm)
    {
        private readonly StringBuilder _text = new();

        public void Sglang(string name, string type, double value, string labels = "") => Value("sglang:" + name, type, sglang, (value, labels));

        public void Vllm(string name, string type, double value, string labels = "") => Value("vllm:" + name, type, vllm, (value, labels));

        public void Vllm(string name, string type, params ReadOnlySpan<(double Value, string Labels)> values) => Value("vllm:" + name, type, vllm, values);

        public void Own(string name, string type, double value, string labels = "") => Value("glimmer:" + name, type, vllm[..vllm.IndexOf(',', StringComparison.Ordinal)], (value, labels));

        public void Own(string name, string type, params ReadOnlySpan<(double Value, string Labels)> values) => Value("glimmer:" + name, type, vllm[..vllm.IndexOf(',', StringComparison.Ordinal)], values);

        public void Own(string name, Histogram histogram) => Counts("glimmer:" + name, vllm[..vllm.IndexOf(',', StringComparison.Ordinal)], histogram);

        public void Sglang(string name, Histogram histogram) => Counts("sglang:" + name, sglang, histogram);

        public void Vllm(string name, Histogram histogram) => Counts("vllm:" + name, vllm, histogram);

        public void Vllm(string name, IReadOnlyList<double> bounds, IReadOnlyList<long> counts, double sum)
        {
            var upTo = new long[counts.Count];
            long count = 0;
            for (int i = 0; i < upTo.Length; i++)
                upTo[i] = count += counts[i];
            Counts("vllm:" + name, vllm, bounds, upTo, sum);
        }

        public override string ToString() => _text.ToString();

        private void Value(string name, string type, string own, params ReadOnlySpan<(double Value, string Labels)> values)
        {
            Head(name, type);
            foreach ((double value, string labels) in values)
                Line(name, labels.Length > 0 ? $"{own},{labels}" : own, value);
        }

        private void Counts(string name, string labels, Histogram histogram)
        {
            (long[] upTo, double sum) = histogram.Read();
            Counts(name, labels, histogram.Bounds, upTo, sum);
        }

        private void Counts(string name, string labels, IReadOnlyList<double> bounds, long[] upTo, double sum)
        {
            Head(name, "histogram");
            for (int i = 0; i < bounds.Count; i++)
                Line(name + "_bucket", $"{labels},le=\"{Number(bounds[i])}\"", upTo[i]);
            Line(name + "_bucket", labels + ",le=\"+Inf\"", upTo[^1]);
            Line(name + "_sum", labels, sum);
            Line(name + "_count", labels, upTo[^1]);
        }

        private void Head(string name, string type) => _text.Append("# TYPE ").Append(name).Append(' ').Append(type).Append('\n');

        private void Line(string name, string labels, double value) => _text.Append(name).Append('{').Append(labels).Append("} ").Append(Number(value)).Append('\n');

        private static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);
    }
}
