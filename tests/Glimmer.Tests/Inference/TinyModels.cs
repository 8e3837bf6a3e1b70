using Glimmer.Kernels;
using Glimmer.Models;

namespace Glimmer.Tests.Inference;

/// <summary>The recorded tiny checkpoints of every architecture.</summary>
internal static class TinyModels
{
    /// <summary>Names of the folders whose architecture is supported.</summary>
    public static TheoryData<string> Names() => Fixtures.Rows(
        Fixtures.Folder("models") is { } folder
            ? Directory.GetDirectories(folder).Where(d => File.Exists(Path.Combine(d, "config.json")) && CanOpen(d)).Select(d => Path.GetFileName(d)!)
            : null);

    /// <summary>Opens a model; the caller disposes both.</summary>
    public static (Checkpoint Checkpoint, CausalLm Model) Open(string name)
    {
        Fixtures.SkipIfAbsent(name);
        Checkpoint checkpoint = Checkpoint.Open(Path.Combine(Fixtures.Folder("models")!, name));
        using var team = new ThreadTeam(1);
        return (checkpoint, checkpoint.LoadModel(team));
    }

    /// <summary>Opens the first model that a condition accepts; nulls where there are no recordings.</summary>
    public static (Checkpoint Checkpoint, CausalLm Model) FirstOrNone(Func<CausalLm, bool> accepts)
    {
        foreach (string name in ((IEnumerable<object[]>)Names()).Select(row => (string)row[0]).Where(name => name.Length > 0))
        {
            (Checkpoint checkpoint, CausalLm model) = Open(name);
            if (accepts(model))
                return (checkpoint, model);
            model.Dispose();
            checkpoint.Dispose();
        }

        return default;
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
