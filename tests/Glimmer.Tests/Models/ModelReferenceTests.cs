using System.Text.Json;
using Glimmer.Inference.Verification;
using Glimmer.Kernels;
using Xunit.Abstractions;

namespace Glimmer.Tests.Models;

/// <summary>Tiny checkpoints with everything the reference implementation computed for them: forward, backward, generation, MTP.</summary>
[Trait("Category", "Golden")]
public class ModelReferenceTests(ITestOutputHelper output)
{
    public static TheoryData<string> Cases() => Fixtures.Rows(
        Fixtures.Folder("models") is { } folder
            ? Directory.GetDirectories(folder).Where(d => File.Exists(Path.Combine(d, "reference.json"))).Select(d => Path.GetFileName(d)!)
            : null);

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Everything_recorded_is_reproduced(string name)
    {
        Fixtures.SkipIfAbsent(name);
        string folder = Path.Combine(Fixtures.Folder("models")!, name);
        using JsonDocument reference = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "reference.json")));
        if (reference.RootElement.TryGetProperty("optional", out JsonElement optional) && optional.GetBoolean())
        {
            string refusal = Assert.ThrowsAny<Exception>(() => Glimmer.Models.Checkpoint.Open(folder).Config).Message;
            Assert.Contains(reference.RootElement.GetProperty("architecture").GetString()!, refusal, StringComparison.OrdinalIgnoreCase);
            Skip.If(true, $"optional architecture, refused by name: {refusal}");
        }

        using var team = new ThreadTeam(2);
        IReadOnlyList<ReferenceDifference> differences = ReferenceVerifier.Run(folder, team);
        foreach (IGrouping<string, ReferenceDifference> group in differences.GroupBy(d => d.Quantity))
        {
            ReferenceDifference worst = group.MaxBy(d => double.IsNaN(d.Largest) ? double.PositiveInfinity : d.Largest);
            output.WriteLine($"{group.Key,-16} {group.Count(),4} values, largest difference {worst.Largest:g3} of {worst.Tolerance:g3} ({worst.Key})");
        }

        Assert.NotEmpty(differences);
        Assert.Empty(differences.Where(d => !d.Passed).Take(20));
    }
}
