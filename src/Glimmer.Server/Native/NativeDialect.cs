using System.Text;
using Glimmer.Server.Http;
using Glimmer.Server.Metrics;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace Glimmer.Server.Native;

/// <summary>The server's own endpoints, in the manner of SGLang: health, tokens in and tokens out, and what trainers and operators need.</summary>
/// <param name="state">The server.</param>
internal sealed class NativeDialect(ServerState state) : IDialect
{
    private static readonly string[] s_paths =
    [
        "/health", "/health_generate", "/generate", "/get_model_info", "/model_info", "/server_info", "/get_server_info", "/flush_cache", "/abort_request", "/pause_generation",
        "/continue_generation", "/update_weights_from_disk", "/update_weights_from_tensor", "/init_weights_update_group", "/update_weights_from_distributed",
        "/destroy_weights_update_group", "/update_weight_version", "/get_weight_version", "/tokenize", "/detokenize", "/v1/tokenize", "/v1/detokenize", "/v1/loads", "/get_load",
        "/metrics", "/props", "/release_memory_occupation", "/resume_memory_occupation", "/parse_function_call", "/separate_reasoning",
    ];

    /// <inheritdoc/>
    public string Name => "native";

    /// <inheritdoc/>
    public bool Owns(PathString path) => s_paths.Any(own => path.StartsWithSegments(own, StringComparison.Ordinal));

    /// <inheritdoc/>
    public void Map(IEndpointRouteBuilder routes)
    {
        var generate = new Generate(state);
        var control = new Control(state);
        var information = new Information(state);
        routes.Get("/health", HealthAsync, Access.Open);
        routes.Get("/metrics", new MetricsPage(state).HandleAsync, state.Options.MetricsNeedKey ? Access.Client : Access.Open);
        routes.Get("/health_generate", information.HealthGenerateAsync);
        routes.Get("/v1", AliveAsync, Access.Open);
        routes.MapMethods("/generate", ["POST", "PUT"], generate.HandleAsync).WithMetadata(Access.Client);
        foreach (string path in (ReadOnlySpan<string>)["/get_model_info", "/model_info"])
            routes.Get(path, information.ModelAsync);
        foreach (string path in (ReadOnlySpan<string>)["/server_info", "/get_server_info"])
            routes.Get(path, information.ServerAsync);
        foreach (string path in (ReadOnlySpan<string>)["/v1/loads", "/get_load"])
            routes.Get(path, information.LoadAsync);
        routes.Get("/props", information.PropertiesAsync);
        foreach (string prefix in (ReadOnlySpan<string>)["", "/v1"])
        {
            routes.Post(prefix + "/tokenize", information.TokenizeAsync, Access.Uncounted);
            routes.Post(prefix + "/detokenize", information.DetokenizeAsync, Access.Uncounted);
        }

        var parsing = new Parsing(state);
        routes.Post("/parse_function_call", parsing.CallsAsync, Access.Uncounted);
        routes.Post("/separate_reasoning", parsing.ReasoningAsync, Access.Uncounted);
        routes.Get("/flush_cache", control.FlushAsync, Access.Admin);
        routes.Post("/flush_cache", control.FlushAsync, Access.Admin);
        routes.Post("/abort_request", control.AbortAsync, Access.Admin);
        routes.Post("/pause_generation", control.PauseAsync, Access.Admin);
        routes.Post("/continue_generation", control.ContinueAsync, Access.Admin);
        routes.Post("/release_memory_occupation", control.ReleaseAsync, Access.Admin);
        routes.Post("/resume_memory_occupation", control.ResumeAsync, Access.Admin);
        routes.Post("/update_weights_from_disk", control.UpdateAsync, Access.Admin);
        routes.Post("/update_weight_version", control.NameWeightsAsync, Access.Admin);
        routes.Get("/get_weight_version", control.WeightsNameAsync, Access.Admin);
        foreach (string path in (ReadOnlySpan<string>)["/update_weights_from_tensor", "/init_weights_update_group", "/update_weights_from_distributed", "/destroy_weights_update_group"])
            routes.Post(path, Control.NotHereAsync, Access.Admin);
    }

    /// <inheritdoc/>
    public byte[] ErrorBody(ApiException error, int status, string requestId) => Error(error);

    /// <summary>The body of an error.</summary>
    public static byte[] Error(ApiException error) => JsonText.Write(json =>
    {
        json.WriteStartObject();
        json.WriteStartObject("error");
        json.WriteString("message", error.Message);
        json.WriteEndObject();
        json.WriteEndObject();
    });

    private async Task HealthAsync(HttpContext context)
    {
        context.Response.StatusCode = state.IsReady ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        await WriteAsync(context, state.IsReady ? "ok\n"u8.ToArray() : "not ready\n"u8.ToArray()).ConfigureAwait(false);
    }

    // Some clients look whether anybody is there before they ask.
    private static Task AliveAsync(HttpContext context) => WriteAsync(context, Encoding.UTF8.GetBytes("Glimmer\n"));

    private static async Task WriteAsync(HttpContext context, byte[] text)
    {
        context.Response.ContentType = "text/plain; charset=utf-8";
        context.Response.ContentLength = text.Length;
        if (!HttpMethods.IsHead(context.Request.Method))
            await context.Response.Body.WriteAsync(text, context.RequestAborted).ConfigureAwait(false);
    }
}
