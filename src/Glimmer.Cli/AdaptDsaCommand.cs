using System.CommandLine;
using Glimmer.Training.Distributed;
using Glimmer.Training.Loops;
using Glimmer.Training.Recipes;

namespace Glimmer.Cli;

/// <summary><c>glimmer adapt-dsa</c>: sparse attention for a model that was trained with attention over all keys.</summary>
internal sealed class AdaptDsaCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Argument<string?> _recipe = new("recipe") { Arity = ArgumentArity.ZeroOrOne, Description = "The recipe, a YAML file. Every key of it may also be given as an option: --warm_up.tokens 500_000, --output runs/b." };
    private readonly Option<int?> _threads = NumberOption.Create("--threads", "Computing threads; changes no number. Default: one a processor.", 1, 1024);

    public AdaptDsaCommand(Terminal terminal)
        : base("adapt-dsa", "Teach a model with dense latent attention to choose its keys: its indexers warm up, then all of it trains with sparse attention. Ctrl-C saves a checkpoint; the same command goes on from there.")
    {
        _terminal = terminal;
        Add(_recipe);
        Add(_threads);
        RecipeArguments.AddTo(this);
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        if (Communicator.Launched > 1)
            throw new UsageException($"an adaptation runs in one process, but mpirun started {Communicator.Launched}. Start it without mpirun; pretrain and midtrain run on several ranks.");
        string? path = parsed.GetValue(_recipe);
        if (path is not null && !File.Exists(path))
            throw new UsageException($"There is no recipe '{path}'.");
        AdaptationRecipe recipe = AdaptationRecipe.Load(path, RecipeArguments.Read(parsed));
        IReadOnlyList<RunResult> results;
        using (var view = new TrainingView(_terminal))
            results = AdaptDsa.Run(recipe, parsed.GetValue(_threads) ?? Environment.ProcessorCount, view, _terminal.Interrupted, _terminal.Notice);
        foreach (RunResult result in results)
            _terminal.Output.WriteLine(TrainingView.Summary(result));
        return results[^1].End == RunEnd.Interrupted ? ExitCodes.Interrupted : ExitCodes.Success;
    }
}
