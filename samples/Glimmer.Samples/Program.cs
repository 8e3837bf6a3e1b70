using Glimmer.Chat;
using Glimmer.Inference;
using Glimmer.Tokenization;

using LoadedModel model = LoadedModel.Open(EmbeddedModel.Find(), threads: 2);
int[] prompt = model.EncodeChat([ChatMessage.User("What is the capital of France?")], null, out _);
using var session = new GenerationSession(model.Model, model.Compute);
var text = new Detokenizer(model.Tokenizer, skipSpecial: true);
foreach (GeneratedToken token in session.Generate(prompt, new GenerationOptions { StopTokens = model.StopTokens }))
    Console.Out.Write(text.Append(token.Token));
