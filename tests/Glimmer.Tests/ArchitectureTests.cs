using System.Text.RegularExpressions;

namespace Glimmer.Tests;

/// <summary>The layers of the library: namespaces refer only downwards (docs/tour.md).</summary>
public partial class ArchitectureTests
{
    // What each layer may use. Kernels and Quantization work on tensors; models on operations; inference on everything below it.
    private static readonly Dictionary<string, string[]> s_allowed = new()
    {
        ["Tensors"] = [],
        ["Kernels"] = ["Tensors"],
        ["Quantization"] = ["Tensors", "Kernels"],
        ["Formats"] = ["Tensors", "Quantization"],
        ["Tokenization"] = [],
        ["Chat"] = [],
        ["Operations"] = ["Tensors", "Kernels", "Quantization"],
        ["Models"] = ["Tensors", "Kernels", "Quantization", "Operations", "Formats"],
        ["Inference"] = ["Tensors", "Kernels", "Quantization", "Operations", "Formats", "Models", "Tokenization", "Chat"],
    };

    // Which projects a project may refer to.
    private static readonly Dictionary<string, string[]> s_projects = new()
    {
        ["Glimmer"] = [],
        ["Glimmer.Data"] = ["Glimmer"],
        ["Glimmer.Server"] = ["Glimmer"],
        ["Glimmer.Training"] = ["Glimmer", "Glimmer.Data"],
        ["Glimmer.Environments"] = ["Glimmer", "Glimmer.Data"],
        ["Glimmer.Cli"] = ["Glimmer", "Glimmer.Data", "Glimmer.Server", "Glimmer.Training", "Glimmer.Environments"],
    };

    [Fact]
    public void Projects_refer_only_downwards()
    {
        foreach (string folder in Directory.GetDirectories(Path.Combine(Fixtures.Repository, "src")))
        {
            string project = Path.GetFileName(folder);
            string file = Path.Combine(folder, project + ".csproj");
            if (!File.Exists(file))
                continue;
            Assert.True(s_projects.ContainsKey(project), $"The project {project} has no place in the layers: add it to this test.");
            IEnumerable<string> used = ProjectReference().Matches(File.ReadAllText(file)).Select(match => match.Groups[1].Value);
            Assert.Empty(used.Except(s_projects[project]).Select(other => $"{project} refers to {other}"));
        }
    }

    [Fact]
    public void Layers_refer_only_downwards()
    {
        string root = Path.Combine(Fixtures.Repository, "src", "Glimmer");
        var violations = new List<string>();
        foreach (string folder in Directory.GetDirectories(root))
        {
            string layer = Path.GetFileName(folder);
            if (layer is "bin" or "obj")
                continue;
            Assert.True(s_allowed.ContainsKey(layer), $"The folder src/Glimmer/{layer} has no place in the layers: add it to this test and to docs/tour.md.");
            foreach (string file in Directory.EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories))
            {
                foreach (Match match in GlimmerNamespace().Matches(Code(file)))
                {
                    string used = match.Groups[1].Value;
                    if (used != layer && s_allowed.ContainsKey(used) && !s_allowed[layer].Contains(used))
                        violations.Add($"{Path.GetRelativePath(root, file)} uses Glimmer.{used}");
                }
            }
        }

        Assert.Empty(violations);
    }

    [Fact]
    public void Namespaces_equal_folders()
    {
        string root = Path.Combine(Fixtures.Repository, "src");
        foreach (string file in Directory.EnumerateFiles(root, "*.cs", SearchOption.AllDirectories))
        {
            string folder = Path.GetRelativePath(root, Path.GetDirectoryName(file)!).Replace(Path.DirectorySeparatorChar, '.');
            if (folder.Contains(".obj", StringComparison.Ordinal) || folder.Contains(".bin", StringComparison.Ordinal))
                continue;
            Match declared = NamespaceDeclaration().Match(File.ReadAllText(file));
            Assert.True(!declared.Success || declared.Groups[1].Value == folder, $"{file} declares {declared.Groups[1].Value}, expected {folder}");
        }
    }

    [Fact]
    public void No_source_file_is_longer_than_600_lines()
    {
        string root = Path.Combine(Fixtures.Repository, "src");
        foreach (string file in Directory.EnumerateFiles(root, "*.cs", SearchOption.AllDirectories))
            Assert.True(File.ReadLines(file).Count() <= 600, $"{file} has more than 600 lines: split it by meaning");
    }

    // Source without comments, where namespaces of higher layers may be mentioned.
    private static string Code(string file) =>
        string.Join('\n', File.ReadLines(file).Where(line => !line.TrimStart().StartsWith("//", StringComparison.Ordinal)));

    [GeneratedRegex(@"\bGlimmer\.([A-Z][A-Za-z]+)")]
    private static partial Regex GlimmerNamespace();

    [GeneratedRegex(@"<ProjectReference Include=""[^""]*/([A-Za-z.]+)\.csproj""")]
    private static partial Regex ProjectReference();

    [GeneratedRegex(@"^namespace ([A-Za-z.]+);", RegexOptions.Multiline)]
    private static partial Regex NamespaceDeclaration();
}
