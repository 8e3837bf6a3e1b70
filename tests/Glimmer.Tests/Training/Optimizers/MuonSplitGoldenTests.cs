using System.Globalization;
using System.Text.Json;
using Glimmer.Formats;
using Glimmer.Kernels;
using Glimmer.Operations;
using Glimmer.Tensors;
using Glimmer.Training.Optimizers;
using Xunit.Abstractions;

namespace Glimmer.Tests.Training.Optimizers;

[Trait("Category", "Golden")]
public class MuonSplitGoldenTests(ITestOutputHelper output)
{
    public static TheoryData<string> Cases
    {
        get
        {
            string? root = Fixtures.Folder("training2");
            return Fixtures.Rows(root is null ? null : Directory.EnumerateFiles(root, "updates.json", SearchOption.AllDirectories).SelectMany(file =>
            {
                using JsonDocument json = JsonDocument.Parse(File.ReadAllText(file));
                string folder = Path.GetRelativePath(root, Path.GetDirectoryName(file)!);
                return json.RootElement.GetProperty("cases").EnumerateArray().Select(c => $"{folder}/{c.GetProperty("case").GetString()}").ToArray();
            }));
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Blocks_of_a_matrix_are_updated_each_on_its_own(string name)
    {
        Fixtures.SkipIfAbsent(name);
        string folder = Path.Combine(Fixtures.Folder("training2")!, Path.GetDirectoryName(name)!), key = Path.GetFileName(name);
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "updates.json")));
        JsonElement json = document.RootElement.GetProperty("cases").EnumerateArray().Single(c => c.GetProperty("case").GetString() == key);
        using SafetensorsFile data = SafetensorsFile.Open(Path.Combine(folder, "updates.safetensors"));
        using var team = new ThreadTeam(2);
        string inputs = json.GetProperty("inputs").GetString()!;
        int[] shape = data.Find(inputs + ".weight")!.Shape.ToArray();
        using var parameter = new Parameter(inputs, Tensor.From(data.View(inputs + ".weight").F32, shape));
        parameter.EnableGradient();
        data.View(inputs + ".grad").F32.CopyTo(parameter.Gradient!.F32);
        var options = new MuonOptions { Momentum = json.GetProperty("momentum").GetSingle(), Nesterov = json.GetProperty("nesterov").GetBoolean(), Iterations = [.. NewtonSchulz.Simple.Take(json.GetProperty("ns_steps").GetInt32())] };
        MatrixSplit split = Split(json.GetProperty("rule").GetString()!);
        Assert.Equal(json.GetProperty("blocks").GetInt32(), split.Cut(shape[0], shape[1]).Count);
        using var optimizer = new Optimizer([new ParameterRule(parameter, MatrixRule.Muon, json.GetProperty("weight_decay").GetSingle(), split)], new OptimizerOptions { Muon = options });
        Tensor momentum = optimizer.State.Single().Value;
        data.View(inputs + ".momentum").F32.CopyTo(momentum.F32);
        optimizer.Step(team, json.GetProperty("lr").GetDouble());

        double allowed = (inputs.Contains("rank_one", StringComparison.Ordinal) ? 1e-4 : 2e-5) * 0.2 * Math.Sqrt(Math.Max(shape[0], shape[1])) * json.GetProperty("lr").GetDouble();
        double weight = TrainingCase.Largest(data.View(key + ".weight_after").F32, parameter.Value!.F32), moved = TrainingCase.Largest(data.View(inputs + ".momentum_after").F32, momentum.F32);
        output.WriteLine($"{json.GetProperty("rule")}: weights {weight:g3} of {allowed:g3}, momentum {moved:g3} of 1e-6");
        Assert.True(weight <= allowed, $"weights: {weight:g3} > {allowed:g3}");
        Assert.True(moved <= 1e-6, $"momentum: {moved:g3}");
    }

    private static MatrixSplit Split(string rule)
    {
        string[] parts = rule.Split(':');
        int[] sizes = parts.Length == 1 ? [] : [.. parts[1].Split(',').Select(n => int.Parse(n, CultureInfo.InvariantCulture))];
        return parts[0] switch
        {
            "whole" => MatrixSplit.Whole,
            "rows" => MatrixSplit.Rows(sizes),
            "cols" => MatrixSplit.Columns(sizes[0]),
            "groups" => MatrixSplit.Groups(sizes),
            _ => throw new NotSupportedException($"The recording has the rule {rule}."),
        };
    }
}
