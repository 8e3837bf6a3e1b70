using System.Globalization;
using System.Text.Json.Nodes;
using Glimmer.Training.Optimizers;
using Glimmer.Training.Runs;
using Glimmer.Training.Upcycling;

namespace Glimmer.Cli.Nano;

/// <summary>What the recipe of Glimmer Nano is run with.</summary>
internal sealed record NanoOptions
{
    /// <summary>Folder of the run: data, checkpoints, answers, the report. Outside the work tree.</summary>
    public required string Folder { get; init; }

    /// <summary>Folder with what the recipe reads: <c>recipes/nano/data</c>.</summary>
    public required string Data { get; init; }

    /// <summary>The trunk.</summary>
    public required string Trunk { get; init; }

    /// <summary>Minutes of the whole run.</summary>
    public double Minutes { get; init; } = NanoBudget.WholeMinutes;

    /// <summary>Minutes of each arm of the comparison.</summary>
    public double ArmMinutes { get; init; } = 20;

    /// <summary>Computing threads.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;

    /// <summary>Seed of data and start state.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Peak learning rate of the low-rank factors.</summary>
    public double LearningRate { get; init; } = 2e-3;

    /// <summary>How much of what was trained counts in what is published, see <see cref="AdditionWeights.Weaken"/>.</summary>
    public double Strength { get; init; } = 0.85;

    /// <summary>Tokens of a step.</summary>
    public int BatchTokens { get; init; } = 2048;

    /// <summary>Rates of the other parts, and the rule of experts.</summary>
    public AdditionRates Rates { get; init; } = new();

    /// <summary>What is added to the trunk.</summary>
    public UpcycleOptions Upcycle { get; init; } = new();

    /// <summary>What decides the numbers of a run, kept in its folder: stages that are done belong to it.</summary>
    public RunSettings Settings => new("settings.yaml", string.Create(
        CultureInfo.InvariantCulture,
        $"minutes: {Minutes}\nseed: {Seed}\nlr: {LearningRate}\nstrength: {Strength}\nmuon: {(Rates.Matrices == MatrixRule.Muon ? "true" : "false")}\ntrunk: {JsonValue.Create(Path.GetFullPath(Trunk)).ToJsonString()}\ndata: {JsonValue.Create(Path.GetFullPath(Data)).ToJsonString()}\n"));

    /// <summary>What the arms have besides.</summary>
    public RunSettings ArmSettings => new("settings.yaml", string.Create(CultureInfo.InvariantCulture, $"arm_minutes: {ArmMinutes}\n"));

    /// <summary>A path in the folder of the run.</summary>
    public string In(params ReadOnlySpan<string> parts) => Path.Combine([Folder, .. parts]);
}
