using Glimmer.Chat;
using Glimmer.Inference;

using LoadedModel model = LoadedModel.Open(EmbeddedModel.Find(), threads: 2);
int[] prompt = model.EncodeChat([ChatMessage.User("What is the capital of France?")], null, out _);
using var session = new GenerationSession(model.Model, model.Compute);
foreach (GeneratedToken token in session.Generate(prompt, new GenerationOptions { StopTokens = model.StopTokens }))
    Console.Write(model.Tokenizer.Decode([token.Token], skipSpecial: true));
