namespace Glimmer.Inference;

/// <summary>The model that comes with Glimmer: SmolLM2-135M-Instruct, Q4_1, a dense <c>glm4_moe</c>.</summary>
public static class EmbeddedModel
{
    /// <summary>Name of the file in the folder <c>models</c>.</summary>
    public const string FileName = "SmolLM2-135M-Instruct.Q4_1.gguf";

    /// <summary>Name of the folder in <c>models</c> with the addition that makes a GLM of the file (docs/adr/0004), where there is one.</summary>
    public const string AdditionName = "glimmer-nano";

    /// <summary>What commands run when no model is named: the addition where there is one, else the file itself.</summary>
    /// <exception cref="FileNotFoundException">There is neither.</exception>
    public static string FindDefault()
    {
        string trunk = Find(), addition = Path.Combine(Path.GetDirectoryName(trunk)!, AdditionName);
        return File.Exists(Path.Combine(addition, "config.json")) ? addition : trunk;
    }

    /// <summary>The model that a command was asked for.</summary>
    /// <param name="path">A path; null for the default, <c>base</c> for the file without the addition.</param>
    /// <exception cref="FileNotFoundException">The embedded model is meant and missing.</exception>
    public static string Resolve(string? path) => path switch
    {
        null => FindDefault(),
        "base" => Find(),
        _ => path,
    };

    /// <summary>Finds the file: in <c>models</c> beside the program, or in that of the repository the program was built in.</summary>
    /// <exception cref="FileNotFoundException">It is in neither place.</exception>
    public static string Find()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string path = Path.Combine(folder.FullName, "models", FileName);
            if (File.Exists(path))
                return path;
        }

        throw new FileNotFoundException(
            $"The embedded model 'models/{FileName}' was not found beside the program or in a folder above it. Name a model with --model, or restore the file from the repository.");
    }
}
