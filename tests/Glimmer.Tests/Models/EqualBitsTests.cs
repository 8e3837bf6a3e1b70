using Glimmer.Kernels;
using Glimmer.Models;
using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Tests.Models;

/// <summary>
/// The same token gets the same logits, bit for bit, whatever it is computed together with: the second idea of the design, on the tiny model of every
/// architecture.
/// </summary>
[Trait("Category", "Golden")]
public class EqualBitsTests
{
    private static readonly int[] s_lengths = [37, 70, 5];

    public static TheoryData<string> Cases() => Fixtures.Rows(
        Fixtures.Folder("models") is { } folder
            ? Directory.GetDirectories(folder).Where(d => File.Exists(Path.Combine(d, "config.json")) && CanOpen(d)).Select(d => Path.GetFileName(d)!)
            : null);

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Batch_size_chunks_threads_and_tape_change_no_bit(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using var team = new ThreadTeam(1);
        using Checkpoint checkpoint = Checkpoint.Open(Path.Combine(Fixtures.Folder("models")!, name));
        using CausalLm model = checkpoint.LoadModel(team);
        EqualBits.Check(model, s_lengths);
    }

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Pages_of_every_type_keep_equal_bits(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using var team = new ThreadTeam(1);
        using Checkpoint checkpoint = Checkpoint.Open(Path.Combine(Fixtures.Folder("models")!, name));
        using CausalLm model = checkpoint.LoadModel(team);
        foreach (KeyValueType type in Enum.GetValues<KeyValueType>())
            EqualBits.CheckCache(model, type, s_lengths);
    }

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Instruction_sets_change_no_bit(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using var team = new ThreadTeam(2);
        using Checkpoint checkpoint = Checkpoint.Open(Path.Combine(Fixtures.Folder("models")!, name));
        using CausalLm model = checkpoint.LoadModel(team);
        EqualBits.CheckInstructionSets(model, 70);
    }

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Recomputing_blocks_changes_no_bit_of_a_gradient(string name)
    {
        Fixtures.SkipIfAbsent(name);
        using var team = new ThreadTeam(2);
        using Checkpoint checkpoint = Checkpoint.Open(Path.Combine(Fixtures.Folder("models")!, name));
        using CausalLm model = checkpoint.LoadModel(team);
        model.EnableGradients();
        Dictionary<string, float[]> kept = EqualBits.Gradients(model, team, recompute: false);
        Dictionary<string, float[]> recomputed = EqualBits.Gradients(model, team, recompute: true);
        foreach ((string parameter, float[] gradient) in kept)
            EqualBits.AssertSame(gradient, recomputed[parameter], parameter);
    }

    private static bool CanOpen(string folder)
    {
        try
        {
            ModelConfig.Parse(File.ReadAllBytes(Path.Combine(folder, "config.json")));
            return true;
        }
        catch (UnsupportedModelException)
        {
            return false; // The golden test reports it.
        }
    }
}
