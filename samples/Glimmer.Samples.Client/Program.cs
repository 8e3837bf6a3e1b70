using System.ClientModel;
using Microsoft.Extensions.AI;
using OpenAI;

// A running 'glimmer serve' behind the interface that every .NET library for language models takes.
var options = new OpenAIClientOptions { Endpoint = new Uri(args.Length > 0 ? args[0] : "http://127.0.0.1:30000/v1") };
using IChatClient client = new OpenAIClient(new ApiKeyCredential("none"), options).GetChatClient("glimmer").AsIChatClient();
await foreach (ChatResponseUpdate update in client.GetStreamingResponseAsync("What is the capital of France?"))
    Console.Write(update.Text);
