using System.Reflection;
using System.Text.Json;
using Glimmer.Inference;
using Glimmer.Server.Http;
using Glimmer.Server.OpenAi;
using Glimmer.Server.Turns;
using Glimmer.Tokenization;
using Microsoft.AspNetCore.Http;

namespace Glimmer.Server.Native;

/// <summary>Endpoints that say what is served and how busy it is, and the tokenizer.</summary>
/// <param name="state">The server.</param>
internal sealed class Information(ServerState state)
{
    private const int BlockTokens = 64;
    private static readonly string s_version = typeof(Information).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "0";

    /// <summary><c>/health_generate</c>: really generates a token, within 20 seconds.</summary>
    public async Task HealthGenerateAsync(HttpContext context)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        limit.CancelAfter(TimeSpan.FromSeconds(20));
        var request = new TurnRequest { Id = RequestIds.New("health_"), Prompt = [0], MaxTokens = 1, IgnoreEnd = true, Priority = 1000 };
        try
        {
            Turn turn = await state.Runner.StartAsync(request, limit.Token).ConfigureAwait(false);
            await foreach (TurnEvent _ in turn.ReadAllAsync(limit.Token).ConfigureAwait(false))
            {
            }
        }
        catch (Exception error) when (error is not ApiException && !context.RequestAborted.IsCancellationRequested)
        {
            throw new ApiException(ApiErrorKind.Unavailable, "The engine did not generate a token in time.");
        }

        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("status", "ok");
            json.WriteEndObject();
        }).ConfigureAwait(false);
    }

    /// <summary><c>/get_model_info</c>.</summary>
    public Task ModelAsync(HttpContext context)
    {
        ServedModel model = state.Runner.Model;
        return JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("model_path", model.Path);
            json.WriteString("tokenizer_path", model.Path);
            json.WriteBoolean("is_generation", true);
            json.WriteString("weight_version", model.Control?.Version ?? "default");
            json.WriteNull("preferred_sampling_params");
            json.WriteBoolean("has_image_understanding", false);
            json.WriteBoolean("has_audio_understanding", false);
            json.WriteNumber("max_model_len", model.Source.ContextLength);
            json.WriteEndObject();
        });
    }

    /// <summary><c>/server_info</c>.</summary>
    public Task ServerAsync(HttpContext context)
    {
        ServedModel model = state.Runner.Model;
        EngineStatistics? now = model.Source.Statistics;
        return JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("version", s_version);
            json.WriteString("model_path", model.Path);
            json.WriteString("served_model_name", state.Options.ModelNames[0]);
            json.WriteString("host", state.Options.Host);
            json.WriteNumber("port", state.Options.Port);
            json.WriteNumber("context_length", model.Source.ContextLength);
            json.WriteNumber("max_total_num_tokens", (now?.MaxBlocks ?? 0) * BlockTokens);
            json.WriteNumber("tp_size", 1);
            json.WriteNumber("dp_size", 1);
            json.WriteNumber("pp_size", 1);
            json.WriteString("disaggregation_mode", "null");
            json.WriteString("weight_version", model.Control?.Version ?? "default");
            json.WriteStartArray("internal_states");
            json.WriteStartObject();
            json.WriteNumber("num_running_reqs", now?.Running ?? 0);
            json.WriteNumber("num_waiting_reqs", now?.Waiting ?? 0);
            json.WriteNumber("generated_tokens", now?.GeneratedTokens ?? 0);
            json.WriteNumber("memory_usage", GC.GetTotalMemory(forceFullCollection: false));
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    /// <summary><c>/v1/loads</c> and <c>/get_load</c>: trainers wait for zero.</summary>
    public Task LoadAsync(HttpContext context)
    {
        EngineStatistics? now = state.Runner.Model.Source.Statistics;
        int live = state.Runner.Live.Count;
        return JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("loads");
            json.WriteStartObject();
            json.WriteNumber("dp_rank", 0);
            json.WriteNumber("num_running_reqs", now?.Running ?? live);
            json.WriteNumber("num_waiting_reqs", now?.Waiting ?? 0);
            json.WriteNumber("num_total_reqs", now is null ? live : now.Running + now.Waiting);
            json.WriteNumber("num_used_tokens", (now?.BlocksInUse ?? 0) * BlockTokens);
            json.WriteNumber("max_total_num_tokens", (now?.MaxBlocks ?? 0) * BlockTokens);
            json.WriteNumber("token_usage", now is null || now.MaxBlocks == 0 ? 0 : Math.Round((double)now.BlocksInUse / now.MaxBlocks, 6));
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    /// <summary><c>/props</c>, as llama.cpp's server has it.</summary>
    public Task PropertiesAsync(HttpContext context)
    {
        ServedModel model = state.Runner.Model;
        return JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteStartObject("default_generation_settings");
            json.WriteNumber("n_ctx", model.Source.ContextLength);
            json.WriteEndObject();
            json.WriteString("model_alias", state.Options.ModelNames[0]);
            json.WriteString("chat_template", model.Template?.Source ?? "");
            json.WriteStartObject("modalities");
            json.WriteBoolean("vision", false);
            json.WriteBoolean("audio", false);
            json.WriteEndObject();
            json.WriteString("build_info", "glimmer " + s_version);
            json.WriteEndObject();
        });
    }

    /// <summary><c>/tokenize</c>: a text, or a conversation through the template.</summary>
    public async Task TokenizeAsync(HttpContext context)
    {
        Fields body = await RequestBody.ReadAsync(context, state.Options.MaxRequestBytes).ConfigureAwait(false);
        TurnRunner runner = state.Runner;
        IReadOnlyList<int> tokens;
        if (body.Has("messages"))
        {
            (TurnRequest request, _) = ChatRequestReader.Read(body, state, RequestIds.Of(context));
            tokens = runner.Encode(request);
        }
        else
        {
            string text = body.Text("prompt") ?? body.Text("text") ?? body.Text("content") ?? throw body.Missing("prompt");
            tokens = runner.Model.Tokenizer.Encode(text, new EncodeOptions { AddedTokens = AddedTokenMatching.All, AddSpecialTokens = body.Flag("add_special_tokens") ?? true });
        }

        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteStartArray("tokens");
            foreach (int token in tokens)
                json.WriteNumberValue(token);
            json.WriteEndArray();
            json.WriteNumber("count", tokens.Count);
            json.WriteNumber("max_model_len", runner.Model.Source.ContextLength);
            json.WriteEndObject();
        }).ConfigureAwait(false);
    }

    /// <summary><c>/detokenize</c>.</summary>
    public async Task DetokenizeAsync(HttpContext context)
    {
        Fields body = await RequestBody.ReadAsync(context, state.Options.MaxRequestBytes).ConfigureAwait(false);
        if (!body.Has("tokens"))
            throw body.Missing("tokens");
        ServedModel model = state.Runner.Model;
        int[] ids = [.. body.Integers("tokens")];
        foreach (int id in ids)
        {
            if (id < 0 || !model.Tokenizer.HasToken(id))
                throw ApiException.Invalid($"tokens contains {id}, which is not in the vocabulary.", "tokens");
        }

        string text = model.Tokenizer.Decode(ids, body.Flag("skip_special_tokens") ?? false);
        await JsonResponse.WriteAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("text", text);
            json.WriteString("prompt", text);
            json.WriteEndObject();
        }).ConfigureAwait(false);
    }
}
