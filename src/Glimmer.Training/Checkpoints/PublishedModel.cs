using System.Text;
using Glimmer.Models;

namespace Glimmer.Training.Checkpoints;

/// <summary>What a model card says.</summary>
public sealed record ModelCard
{
    /// <summary>Title: the model's name.</summary>
    public required string Name { get; init; }

    /// <summary>The model that it was made from; null when it is not known.</summary>
    public string? BaseModel { get; init; }

    /// <summary>Licence as hubs name it (<c>mit</c>, <c>apache-2.0</c>); null leaves it out.</summary>
    public string? License { get; init; }

    /// <summary>How it was made: options and their values.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Recipe { get; init; } = [];

    /// <summary>What was measured.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Metrics { get; init; } = [];

    /// <summary>The card as Markdown with the header that hubs read.</summary>
    public string Write()
    {
        var text = new StringBuilder("---\n");
        if (License is not null)
            text.Append("license: ").Append(License).Append('\n');
        if (BaseModel is not null)
            text.Append("base_model: ").Append(BaseModel).Append('\n');
        text.Append("library_name: glimmer\npipeline_tag: text-generation\n---\n\n# ").Append(Name).Append('\n');
        if (BaseModel is not null)
            text.Append("\nMade from `").Append(BaseModel).Append("`.\n");
        Table(text, "Recipe", "option", Recipe);
        Table(text, "Metrics", "figure", Metrics);
        return text.Append("\n## Use\n\n```sh\nglimmer chat --model .\n```\n").ToString();
    }

    private static void Table(StringBuilder text, string title, string column, IReadOnlyList<KeyValuePair<string, string>> rows)
    {
        if (rows.Count == 0)
            return;
        text.Append("\n## ").Append(title).Append("\n\n| ").Append(column).Append(" | value |\n|---|---|\n");
        foreach ((string key, string value) in rows)
            text.Append("| ").Append(key).Append(" | ").Append(value.Replace("|", "\\|", StringComparison.Ordinal)).Append(" |\n");
    }
}

/// <summary>A folder that can be published: weights, configuration, tokenizer, licence, and a <c>README.md</c> that is the model card. Uploading it is left to the tools of the hub.</summary>
public static class PublishedModel
{
    private static readonly string[] s_adapterFiles = ["adapter_config.json", "adapter_model.safetensors"];

    /// <summary>Writes the folder of a model, complete or not at all.</summary>
    /// <param name="model">Anything <see cref="Checkpoint.Open"/> takes, or the folder of an adapter.</param>
    /// <param name="output">A folder that does not exist yet, or is empty.</param>
    /// <param name="card">The model card.</param>
    /// <param name="type">Type of the matrices; null keeps every tensor as it is. Adapters stay as they are.</param>
    /// <exception cref="IOException">The output exists, or cannot be written.</exception>
    public static void Write(string model, string output, ModelCard card, Tensors.DType? type = null)
    {
        ArgumentNullException.ThrowIfNull(card);
        if (File.Exists(Path.Combine(model, s_adapterFiles[0])))
        {
            OutputFolder.Write(output, folder =>
            {
                foreach (string name in s_adapterFiles)
                    File.Copy(Path.Combine(model, name), Path.Combine(folder, name));
                Finish(model, folder, card);
            });
            return;
        }

        string staged = Path.TrimEndingDirectorySeparator(Path.GetFullPath(output)) + $".{Guid.NewGuid():N}.model";
        try
        {
            using (Checkpoint source = Checkpoint.Open(model))
                CheckpointConverter.WriteFolder(source, staged, type, asPublished: true);
            OutputFolder.Write(output, folder =>
            {
                foreach (string file in Directory.EnumerateFiles(staged))
                    File.Move(file, Path.Combine(folder, Path.GetFileName(file)));
                Finish(model, folder, card);
            });
        }
        finally
        {
            if (Directory.Exists(staged))
                Directory.Delete(staged, recursive: true);
        }
    }

    private static void Finish(string model, string folder, ModelCard card)
    {
        string licence = Path.Combine(model, "LICENSE");
        if (File.Exists(licence) && !File.Exists(Path.Combine(folder, "LICENSE")))
            File.Copy(licence, Path.Combine(folder, "LICENSE"));
        File.WriteAllText(Path.Combine(folder, "README.md"), card.Write());
    }
}
