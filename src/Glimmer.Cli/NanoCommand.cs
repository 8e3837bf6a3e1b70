using System.CommandLine;
using Glimmer.Cli.Nano;
using Glimmer.Inference;
using Glimmer.Training.Optimizers;
using Glimmer.Training.Upcycling;

namespace Glimmer.Cli;

/// <summary><c>glimmer nano</c>: the recipe that makes a GLM of the embedded model, from data to the report.</summary>
internal sealed class NanoCommand : Command
{
    private readonly Terminal _terminal;
    private readonly Option<string> _out = new("--out", "-o") { Description = "Folder of the run, outside the work tree. The same folder goes on after an interruption.", Required = true, HelpName = "folder" };
    private readonly Option<string?> _data = new("--data") { Description = "Folder with what the recipe reads. Default: recipes/nano/data.", HelpName = "folder" };
    private readonly Option<string?> _trunk = new("--trunk") { Description = "GGUF file of the trunk. Default: the small model that comes with Glimmer.", HelpName = "path" };
    private readonly Option<double?> _minutes = new("--minutes") { Description = "Minutes of the whole run. Fewer than 100 measure fewer samples and train less. Default: 100.", HelpName = "n" };
    private readonly Option<bool> _compare = new("--compare") { Description = "Also train the arms of the comparison (experts and LoRA, LoRA alone, full fine-tuning) and put them into the report; beyond the minutes." };
    private readonly Option<bool> _compareOnly = new("--compare-only") { Description = "Only the arms of the comparison and what they need; their table goes to arms.md." };
    private readonly Option<double?> _armMinutes = new("--arm-minutes") { Description = "Minutes of training of an arm. Default: 20.", HelpName = "n" };
    private readonly Option<double?> _rate = new("--lr") { Description = "Peak learning rate of the low-rank factors. Default: 0.002.", HelpName = "rate" };
    private readonly Option<double?> _strength = new("--strength") { Description = "Share of what was trained that counts in the published addition, 0 to 1: less keeps more of the trunk. Default: 0.85.", HelpName = "share" };
    private readonly Option<bool> _muon = new("--muon") { Description = "Train experts and the MTP projection with Muon instead of AdamW." };
    private readonly Option<int?> _threads = NumberOption.Create("--threads", "Computing threads. Default: one a processor.", 1, 1024);
    private readonly Option<ulong?> _seed = NumberOption.Create("--seed", "Seed of data and start state. Default: 1.", 0UL, ulong.MaxValue);

    public NanoCommand(Terminal terminal)
        : base("nano", "Make a GLM of the embedded model: data, the trunk's own answers, training, report card before and after.")
    {
        _terminal = terminal;
        foreach (Option option in (ReadOnlySpan<Option>)[_out, _data, _trunk, _minutes, _compare, _compareOnly, _armMinutes, _rate, _strength, _muon, _threads, _seed])
            Add(option);
        Validators.Add(result =>
        {
            foreach (Option<double?> option in (ReadOnlySpan<Option<double?>>)[_minutes, _armMinutes, _rate])
            {
                if (result.GetResult(option) is { } given && given.GetValueOrDefault<double?>() is { } value && !(value > 0 && double.IsFinite(value)))
                    result.AddError($"{option.Name} must be a positive number.");
            }

            if (result.GetValue(_compare) && result.GetValue(_compareOnly))
                result.AddError($"{_compare.Name} and {_compareOnly.Name} exclude each other.");
            if (result.GetResult(_strength) is { } strength && strength.GetValueOrDefault<double?>() is { } share && !(share is >= 0 and <= 1))
                result.AddError($"{_strength.Name} lies between 0 and 1.");
        });
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        string data = parsed.GetValue(_data) ?? Path.Combine("recipes", "nano", "data");
        foreach (string file in (ReadOnlySpan<string>)["gsm8k_train.jsonl", "passages.jsonl", "perplexity.jsonl", "questions.jsonl", "BFCL_simple_python.jsonl", "ifeval_input_data.jsonl"])
        {
            if (!File.Exists(Path.Combine(data, file)))
                throw new UsageException($"'{data}' lacks '{file}', which the recipe reads. Run it in the repository, or name recipes/nano/data with --data.");
        }

        var options = new NanoOptions
        {
            Folder = Path.GetFullPath(parsed.GetValue(_out)!),
            Data = data,
            Trunk = parsed.GetValue(_trunk) ?? EmbeddedModel.Find(),
            Threads = parsed.GetValue(_threads) ?? Environment.ProcessorCount,
            Seed = parsed.GetValue(_seed) ?? 1,
        };
        options = options with
        {
            Minutes = parsed.GetValue(_minutes) ?? options.Minutes,
            ArmMinutes = parsed.GetValue(_armMinutes) ?? options.ArmMinutes,
            LearningRate = parsed.GetValue(_rate) ?? options.LearningRate,
            Strength = parsed.GetValue(_strength) ?? options.Strength,
            Rates = parsed.GetValue(_muon) ? options.Rates with { Matrices = MatrixRule.Muon } : options.Rates,
        };
        Directory.CreateDirectory(options.Folder);
        var recipe = new NanoRecipe(options, _terminal);
        if (parsed.GetValue(_compareOnly))
            recipe.Compare();
        else
            recipe.Run(parsed.GetValue(_compare));
        return ExitCodes.Success;
    }
}
