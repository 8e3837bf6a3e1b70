using System.Globalization;
using System.Text.Json;
using Glimmer.Server.Http;
using Microsoft.AspNetCore.Http;

namespace Glimmer.Server.OpenAi;

/// <summary><c>GET /v1/models</c>: one object that satisfies clients of OpenAI and of Anthropic.</summary>
/// <param name="state">The server.</param>
internal sealed class ModelList(ServerState state)
{
    /// <summary>All models.</summary>
    public Task ListAsync(HttpContext context) => JsonResponse.WriteAsync(context, json =>
    {
        IReadOnlyList<string> names = state.Names.Listed;
        json.WriteStartObject();
        json.WriteString("object", "list");
        json.WriteStartArray("data");
        foreach (string name in names)
            Write(json, name);
        json.WriteEndArray();
        json.WriteBoolean("has_more", false);
        json.WriteString("first_id", names[0]);
        json.WriteString("last_id", names[^1]);
        json.WriteEndObject();
    });

    /// <summary>One model; its name may contain <c>/</c>.</summary>
    public Task OneAsync(HttpContext context)
    {
        string id = Uri.UnescapeDataString((string?)context.Request.RouteValues["id"] ?? "");
        state.Names.Require(id);
        return JsonResponse.WriteAsync(context, json => Write(json, id));
    }

    private void Write(Utf8JsonWriter json, string name)
    {
        int context = state.IsReady ? state.Runner.Model.Source.ContextLength : 0;
        json.WriteStartObject();
        json.WriteString("id", name);
        json.WriteString("object", "model");
        json.WriteNumber("created", state.Started.ToUnixTimeSeconds());
        json.WriteString("owned_by", "glimmer");
        json.WriteString("type", "model");
        json.WriteString("display_name", name);
        json.WriteString("created_at", state.Started.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture));
        json.WriteString("lifecycle", "active");
        if (context > 0)
        {
            json.WriteNumber("max_model_len", context);
            json.WriteNumber("max_input_tokens", context);
            json.WriteNumber("max_tokens", context);
        }

        json.WriteEndObject();
    }
}
