using System.Text.RegularExpressions;

namespace Glimmer.Tests;

/// <summary>What the README and the pages say about files and code is true.</summary>
public partial class ReadmeTests
{
    [Fact]
    public void The_snippet_in_the_readme_is_the_compiled_sample()
    {
        string readme = Read("README.md");
        string sample = Read("samples", "Glimmer.Samples", "Program.cs");
        Assert.Contains(sample.Trim(), readme, StringComparison.Ordinal);
        foreach (string project in (string[])["Glimmer.Samples.Web", "Glimmer.Samples.Client"])
            Assert.Contains(Read("samples", project, "Program.cs").Trim(), Read("docs", "serving.md"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("engine.md", 1)]
    [InlineData("constraints.md", 2)]
    public void Snippets_of_a_page_are_parts_of_compiled_samples(string page, int count)
    {
        string[] samples = [.. Directory.GetFiles(Path.Combine(Fixtures.Repository, "samples", "Glimmer.Samples"), "*.cs").Select(file => WithoutIndent(File.ReadAllText(file)))];
        MatchCollection snippets = Snippet().Matches(Read("docs", page));
        Assert.Equal(count, snippets.Count);
        Assert.All(snippets, snippet => Assert.Contains(samples, sample => sample.Contains(WithoutIndent(snippet.Groups[1].Value), StringComparison.Ordinal)));
    }

    [Fact]
    public void Links_and_named_files_exist()
    {
        foreach (string page in (string[])["README.md", "CONTRIBUTING.md", .. Directory.GetFiles(Path.Combine(Fixtures.Repository, "docs"), "*.md", SearchOption.AllDirectories)])
        {
            string path = Path.Combine(Fixtures.Repository, page);
            foreach (Match link in MarkdownLink().Matches(File.ReadAllText(path)))
            {
                string target = link.Groups[1].Value.Split('#')[0];
                if (target.Length == 0 || target.Contains("://", StringComparison.Ordinal))
                    continue;
                string full = Path.Combine(Path.GetDirectoryName(path)!, target);
                Assert.True(File.Exists(full) || Directory.Exists(full), $"{page} links to '{target}', which does not exist");
            }

            foreach (Match name in SourcePath().Matches(File.ReadAllText(path)))
                Assert.True(IsThere(name.Groups[1].Value), $"{page} names '{name.Groups[1].Value}', which does not exist");
        }
    }

    // Pages name files from the root, or from below src/Glimmer.
    private static bool IsThere(string name) =>
        File.Exists(Path.Combine(Fixtures.Repository, name)) || File.Exists(Path.Combine(Fixtures.Repository, "src", "Glimmer", name));

    private static string WithoutIndent(string code) => string.Join('\n', code.ReplaceLineEndings("\n").Trim().Split('\n').Select(line => line.Trim()));

    private static string Read(params string[] parts) => File.ReadAllText(Path.Combine([Fixtures.Repository, .. parts])).ReplaceLineEndings("\n");

    [GeneratedRegex("```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Snippet();

    [GeneratedRegex(@"\]\(([^)]+)\)")]
    private static partial Regex MarkdownLink();

    [GeneratedRegex(@"`([A-Za-z.]+(?:/[A-Za-z0-9.]+)+\.cs)`")]
    private static partial Regex SourcePath();
}
