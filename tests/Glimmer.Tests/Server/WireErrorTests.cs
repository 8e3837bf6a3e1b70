using System.Text.Json;
using Glimmer.Server;
using Glimmer.Server.Http;

namespace Glimmer.Tests.Server;

/// <summary>The body of an error at each status is the one for which the vendors' SDKs raise their class of it.</summary>
public class WireErrorTests
{
    // Nobody owes us money, no request is unprocessable but not invalid, and clients that went away get nothing.
    private static readonly int[] s_neverSent = [402, 422, 499];

    [SkippableFact]
    public void Every_recorded_error_has_our_body()
    {
        Fixtures.SkipIfAbsent(WireFixtures.Folder ?? "");
        IReadOnlyList<IDialect> dialects = Dialects.Create(new ServerState(new ServerOptions(), TimeProvider.System));
        int compared = 0;
        foreach (JsonElement row in WireFixtures.Rows("error_map.jsonl"))
        {
            int status = row.GetProperty("status").GetInt32();
            if (s_neverSent.Contains(status))
                continue;
            string name = row.GetProperty("dialect").GetString()!.Split('_')[0];
            IDialect dialect = dialects.Single(item => item.Name == name);
            JsonElement body = row.GetProperty("body");
            string? code = body.GetProperty("error").TryGetProperty("code", out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
            ApiErrorKind kind = Enum.GetValues<ApiErrorKind>().First(kind => dialect.Status(new ApiException(kind, "m")) == status);
            var error = new ApiException(kind, "m", code: code) { RetryAfter = kind is ApiErrorKind.RateLimited ? TimeSpan.FromSeconds(2) : null };
            JsonElement ours = JsonDocument.Parse(dialect.ErrorBody(error, status, "req_1")).RootElement;
            Assert.True(JsonElement.DeepEquals(body, ours), $"{name} {status}: {ours}, recorded {body}");
            compared++;
        }

        Assert.True(compared > 40, $"only {compared}");
    }
}
