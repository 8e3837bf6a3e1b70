using System.CommandLine;
using System.CommandLine.Parsing;
using Glimmer.Inference;
using Glimmer.Models;
using Glimmer.Operations;

namespace Glimmer.Cli;

/// <summary>The options that say which model runs and with how many threads.</summary>
internal sealed class ModelOptions
{
    // More threads than this gain nothing by themselves on the models one machine holds.
    private const int MostDefaultThreads = 64;

    private readonly Option<string?> _model = new("--model", "-m") { Description = "Folder or file of the model. Default: the small model that comes with Glimmer, with its addition where models/glimmer-nano holds one; base is the same without it.", HelpName = "path" };
    private readonly Option<int?> _threads = NumberOption.Create("--threads", $"Computing threads. Default: one a processor, {Math.Min(Environment.ProcessorCount, MostDefaultThreads)} here.", 1, 1024);

    private readonly Option<string?> _activations = new("--activations")
    {
        Description = "How products with quantised weights take their activations: f32 (exact) or q8 (8-bit integers, faster). Default: what the file says ('glimmer quantize' measures it), else f32.",
    };

    private readonly Option<string?> _packCache = new("--pack-cache") { Description = "Folder that keeps weights in the form the kernels read. The first start of a model writes a file there, later ones map it.", HelpName = "folder" };
    private readonly Option<bool> _verifyPackCache = new("--verify-pack-cache") { Description = "Pack the weights again and compare every byte with the file in --pack-cache." };
    private readonly Option<long?> _memoryBudget = SizeOption.Create("--memory-budget", "Most memory for weights, for example 6G. Experts beyond it stay in --pack-cache and are read when they are chosen.");

    private readonly Option<string?> _adapter = new("--adapter") { Description = "Folder of a LoRA adapter in the layout of PEFT.", HelpName = "path" };

    private readonly Option<string> _cacheType = CacheTypeOption.Create();

    public ModelOptions() => _activations.AcceptOnlyFromAmong("f32", "q8");

    /// <summary>Adds the options to a command.</summary>
    public ModelOptions AddTo(Command command)
    {
        command.Add(_model);
        command.Add(_threads);
        command.Add(_activations);
        command.Add(_adapter);
        command.Add(_cacheType);
        command.Add(_packCache);
        command.Add(_verifyPackCache);
        command.Add(_memoryBudget);
        command.Validators.Add(result =>
        {
            // The value of an option that does not parse must not be asked for: its own error is reported.
            string? needy = result.GetResult(_verifyPackCache) is not null ? _verifyPackCache.Name : result.GetResult(_memoryBudget) is not null ? _memoryBudget.Name : null;
            if (needy is not null && result.GetResult(_packCache) is null)
                result.AddError($"{needy} needs --pack-cache.");
        });
        return this;
    }

    /// <summary>The model's path.</summary>
    public string Path(ParseResult parsed) => EmbeddedModel.Resolve(parsed.GetValue(_model));

    /// <summary>Whether the option names a model.</summary>
    public bool IsGiven(SymbolResult result) => result.GetValue(_model) is not null;

    /// <summary>Computing threads.</summary>
    public int Threads(ParseResult parsed) => parsed.GetValue(_threads) ?? Math.Min(Environment.ProcessorCount, MostDefaultThreads);

    /// <summary>Where the packed weights are kept.</summary>
    public LoadOptions LoadOptions(ParseResult parsed) => new()
    {
        PackCache = parsed.GetValue(_packCache),
        VerifyPackCache = parsed.GetValue(_verifyPackCache),
        MemoryBudget = parsed.GetValue(_memoryBudget) ?? 0,
    };

    /// <summary>Loads the model and shows how far it is when that takes long.</summary>
    public LoadedModel Open(ParseResult parsed, Terminal terminal, string? path = null)
    {
        path ??= Path(parsed);
        using var progress = new ProgressLine(terminal);
        IProgress<double>? share = progress.IsShown ? progress.Share($"loading {System.IO.Path.GetFileName(path)}") : null;
        LoadedModel model = LoadedModel.Open(path, Threads(parsed), LoadOptions(parsed), share, terminal.Interrupted);
        bool q8 = parsed.GetValue(_activations) is { } chosen ? chosen == "q8" : model.PrefersQ8Activations;
        model.Compute.Activations = q8 ? ActivationType.Q8 : ActivationType.F32;
        if (parsed.GetValue(_adapter) is { } adapter)
        {
            try
            {
                model.UseAdapter(adapter);
            }
            catch
            {
                model.Dispose();
                throw;
            }
        }

        model.Model.CacheType = CacheTypeOption.Read(parsed, _cacheType);
        return model;
    }
}
