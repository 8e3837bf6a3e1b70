using System.CommandLine;
using Glimmer.Training.Batching;
using Glimmer.Training.Distributed;
using Glimmer.Training.Loops;
using Glimmer.Training.Recipes;

namespace Glimmer.Cli;

/// <summary><c>glimmer pretrain</c> and <c>glimmer midtrain</c>: a stage of training on text, as a recipe says.</summary>
internal sealed class PretrainCommand : Command
{
    private readonly Terminal _terminal;
    private readonly RowPacking _packing;
    private readonly Argument<string?> _recipe = new("recipe") { Arity = ArgumentArity.ZeroOrOne, Description = "The recipe, a YAML file. Every key of it may also be given as an option: --learning_rate.peak 3e-3, --output runs/b." };
    private readonly Option<int?> _threads = NumberOption.Create("--threads", "Computing threads; changes no number. Default: one a processor.", 1, 1024);

    private PretrainCommand(Terminal terminal, string name, string description, RowPacking packing)
        : base(name, description)
    {
        (_terminal, _packing) = (terminal, packing);
        Add(_recipe);
        Add(_threads);
        RecipeArguments.AddTo(this);
        SetAction(Execute);
    }

    /// <summary><c>pretrain</c>: documents are cut into rows.</summary>
    public static PretrainCommand Pretrain(Terminal terminal) =>
        new(terminal, "pretrain", "Train a model on text from random weights, or go on with a run. Ctrl-C saves a checkpoint; the same command goes on from there. 'mpirun -n N glimmer pretrain ...' trains on N processes with the same result.", RowPacking.Cut);

    /// <summary><c>midtrain</c>: rows are packed by best fit.</summary>
    public static PretrainCommand Midtrain(Terminal terminal) =>
        new(terminal, "midtrain", "Train a trained model further, with longer rows, whole documents and another rotary base.", RowPacking.BestFit);

    private int Execute(ParseResult parsed)
    {
        string? path = parsed.GetValue(_recipe);
        if (path is not null && !File.Exists(path))
            throw new UsageException($"There is no recipe '{path}'.");
        TrainingRecipe recipe = TrainingRecipe.Load(path, RecipeArguments.Read(parsed));
        recipe = recipe with { Packing = recipe.Packing ?? _packing };
        int threads = parsed.GetValue(_threads) ?? Environment.ProcessorCount;
        return RankedRun.Execute(_terminal, ranks => Run(recipe, threads, ranks));
    }

    private int Run(TrainingRecipe recipe, int threads, Communicator ranks)
    {
        RunResult result;
        using (TrainingView? view = ranks.IsRoot ? new TrainingView(_terminal) : null)
            result = Glimmer.Training.Loops.Pretrain.Run(recipe, threads, view, _terminal.Interrupted, _terminal.Notice, ranks);
        if (ranks.IsRoot)
            _terminal.Output.WriteLine(TrainingView.Summary(result));
        return result.End == RunEnd.Interrupted ? ExitCodes.Interrupted : ExitCodes.Success;
    }
}
