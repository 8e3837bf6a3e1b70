using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Data.Synthesis;
using Glimmer.Data.Synthesis.Miniature;

namespace Glimmer.Tests.Data.Synthesis;

public class GlmLayoutTests
{
    [SkippableFact]
    [Trait("Category", "Golden")]
    public void Conversations_look_as_the_official_template_writes_them()
    {
        string path = Path.Combine(Fixtures.Repository, "..", "shared", "fixtures", "chat", "templates", "glm-4.7.jinja");
        Skip.IfNot(File.Exists(path), $"{path} is not here.");
        ChatTemplate template = new(File.ReadAllText(path));
        var corpus = new MiniatureCorpus(3);
        for (int i = 0; i < 300; i++)
        {
            TrainingRecord record = corpus.Conversation(i);
            var messages = new List<ChatMessage>();
            foreach (RecordMessage message in record.Messages)
            {
                if (message.Role == "tool_call")
                {
                    using JsonDocument call = JsonDocument.Parse(message.Content);
                    messages.Add(new ChatMessage
                    {
                        Role = "assistant",
                        Content = "",
                        ReasoningContent = message.ReasoningContent,
                        ToolCalls = [new ToolCall { Name = call.RootElement.GetProperty("name").GetString()!, Arguments = (DataObject)DataValue.From(call.RootElement.GetProperty("arguments")) }],
                    });
                    continue;
                }

                messages.Add(message.Role switch
                {
                    "tool" => ChatMessage.Tool(message.Content),
                    "user" => ChatMessage.User(message.Content),
                    _ => ChatMessage.Assistant(message.Content, message.ReasoningContent),
                });
            }

            IReadOnlyList<ToolDefinition> tools = [.. record.Tools.Select(tool => new ToolDefinition((DataObject)DataValue.From(JsonDocument.Parse(tool).RootElement)))];
            string expected = template.Render(messages, new ChatTemplateOptions { Tools = tools, AddGenerationPrompt = false, ClearThinking = false }).Text;
            Assert.Equal(expected + "<|user|>", GlmLayout.Render(record));
        }
    }
}
