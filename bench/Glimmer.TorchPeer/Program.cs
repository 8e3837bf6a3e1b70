using System.Diagnostics;
using System.Globalization;
using Glimmer.TorchPeer;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

// `--config S1|S2|S3|dense135m --mode adamw|lora --threads N --steps N`: trains and, for every line read, runs a block of steps and prints its time as a line of JSON.
string Option(string name, string value) => Array.IndexOf(args, name) is int at and >= 0 ? args[at + 1] : value;

PeerConfig config = Array.Find(PeerConfig.All, c => c.Name == Option("--config", "S1")) ?? throw new ArgumentException("There are S1, S2, S3 and dense135m.");
bool lora = Option("--mode", "adamw") == "lora";
int threads = int.Parse(Option("--threads", "2"), CultureInfo.InvariantCulture), steps = int.Parse(Option("--steps", "3"), CultureInfo.InvariantCulture);
set_num_threads(threads);
manual_seed(1);
using var model = new PeerModel(config, lora ? 16 : 0);
Parameter[] trained = [.. model.parameters().Where(p => p.requires_grad)];
var optimizer = optim.AdamW(trained, lr: lora ? 1e-3 : 3e-4, beta1: 0.9, beta2: 0.95, weight_decay: 0.1);
Tensor[] data = [.. Enumerable.Range(0, 8).Select(Data)];
int next = 0;

double Step()
{
    double sum = 0;
    for (int i = 0; i < config.MicroBatches; i++)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor ids = data[next++ % data.Length];
        Tensor logits = model.forward(ids.narrow(1, 0, config.Length));
        Tensor loss = nn.functional.cross_entropy(logits.view(-1, config.Vocabulary), ids.narrow(1, 1, config.Length).reshape(-1)) / config.MicroBatches;
        loss.backward();
        sum += loss.item<float>();
    }

    nn.utils.clip_grad_norm_(trained, 1.0);
    optimizer.step();
    optimizer.zero_grad();
    return sum;
}

double first = Step();
Step();
Console.WriteLine("""{"ready":true}""");
while (Console.ReadLine() is { Length: > 0 })
{
    TimeSpan before = Process.GetCurrentProcess().TotalProcessorTime;
    long start = Stopwatch.GetTimestamp();
    double last = 0;
    for (int step = 0; step < steps; step++)
        last = Step();
    double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds, cpu = (Process.GetCurrentProcess().TotalProcessorTime - before).TotalSeconds;
    double rate = (double)config.Rows * config.Length * config.MicroBatches * steps / seconds;
    Console.WriteLine(string.Create(
        CultureInfo.InvariantCulture,
        $$"""{"config":"{{config.Name}}","threads":{{threads}},"seconds":{{seconds:F3}},"cpu_seconds":{{cpu:F3}},"tok_per_s":{{rate:F1}},"parameters":{{model.parameters().Sum(p => p.numel())}},"first_loss":{{first:F4}},"last_loss":{{last:F4}}}"""));
}

// A Markov source: the next token is 7 x token + {0..3} mod 1024.
Tensor Data(int seed)
{
    var random = new Random(seed);
    int vocabulary = Math.Min(config.Vocabulary, 1024);
    var ids = new long[config.Rows, config.Length + 1];
    for (int r = 0; r < config.Rows; r++)
    {
        ids[r, 0] = random.Next(vocabulary);
        for (int t = 0; t < config.Length; t++)
            ids[r, t + 1] = ((ids[r, t] * 7) + random.Next(4)) % vocabulary;
    }

    return tensor(ids);
}
