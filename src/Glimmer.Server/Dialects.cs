using Glimmer.Server.Anthropic;
using Glimmer.Server.Gemini;
using Glimmer.Server.Http;
using Glimmer.Server.Native;
using Glimmer.Server.OpenAi;

namespace Glimmer.Server;

/// <summary>The APIs of a server. The last one owns every path that no other does.</summary>
internal static class Dialects
{
    /// <summary>All APIs over one model.</summary>
    public static IReadOnlyList<IDialect> Create(ServerState state) => [new NativeDialect(state), new AnthropicDialect(state), new GeminiDialect(state), new OpenAiDialect(state)];
}
