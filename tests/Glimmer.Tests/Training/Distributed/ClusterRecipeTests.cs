using System.Diagnostics;
using System.Globalization;
using YamlDotNet.RepresentationModel;

namespace Glimmer.Tests.Training.Distributed;

public class ClusterRecipeTests
{
    private static readonly string s_folder = Path.Combine(Fixtures.Repository, "recipes", "cluster");

    [SkippableTheory]
    [InlineData("local.sh")]
    [InlineData("slurm.sbatch")]
    public void Scripts_parse(string script)
    {
        Skip.If(OperatingSystem.IsWindows(), "there is no bash");
        using Process bash = Process.Start(new ProcessStartInfo("bash", ["-n", Path.Combine(s_folder, script)]) { RedirectStandardError = true })!;
        string errors = bash.StandardError.ReadToEnd();
        bash.WaitForExit();
        Assert.True(bash.ExitCode == 0, errors);
    }

    [Fact]
    public void Directives_of_slurm_stand_before_the_first_command()
    {
        string[] lines = File.ReadAllLines(Path.Combine(s_folder, "slurm.sbatch"));
        int last = Array.FindLastIndex(lines, line => line.StartsWith("#SBATCH ", StringComparison.Ordinal));
        Assert.All(lines[..last], line => Assert.StartsWith("#", line, StringComparison.Ordinal));
        // The shell of the job gets the signal that its trap waits for.
        Assert.Contains("#SBATCH --signal=B:USR1@300", lines);
        Assert.Contains(lines, line => line.StartsWith("trap ", StringComparison.Ordinal) && line.EndsWith(" USR1", StringComparison.Ordinal));
    }

    [Fact]
    public void The_job_of_kubernetes_starts_as_many_ranks_as_it_has_workers_and_threads_as_they_have_processors()
    {
        var yaml = new YamlStream();
        using (StreamReader text = File.OpenText(Path.Combine(s_folder, "mpijob.yaml")))
            yaml.Load(text);
        YamlNode job = Assert.Single(yaml.Documents).RootNode, launcher = job["spec"]["mpiReplicaSpecs"]["Launcher"], worker = job["spec"]["mpiReplicaSpecs"]["Worker"];
        Assert.Equal(("kubeflow.org/v2beta1", "MPIJob"), (Text(job["apiVersion"]), Text(job["kind"])));
        YamlNode starts = launcher["template"]["spec"]["containers"][0], runs = worker["template"]["spec"]["containers"][0];
        string[] arguments = [.. ((YamlSequenceNode)starts["args"]).Select(Text)];
        Assert.Equal("mpirun", Text(starts["command"][0]));
        Assert.Equal(Number(worker["replicas"]) * Number(job["spec"]["slotsPerWorker"]), int.Parse(After(arguments, "-n"), CultureInfo.InvariantCulture));
        Assert.Equal(Number(runs["resources"]["limits"]["cpu"]), int.Parse(After(arguments, "--threads"), CultureInfo.InvariantCulture));
        Assert.Equal("pretrain", After(arguments, "/app/glimmer"));
        Assert.Equal(Text(starts["image"]), Text(runs["image"]));
        foreach (YamlNode replica in (YamlNode[])[launcher, worker])
        {
            YamlNode spec = replica["template"]["spec"];
            Assert.Equal(Text(spec["volumes"][0]["name"]), Text(spec["containers"][0]["volumeMounts"][0]["name"]));
            Assert.Equal(After(arguments, "-wdir"), Text(spec["containers"][0]["volumeMounts"][0]["mountPath"]));
        }
    }

    private static string Text(YamlNode node) => ((YamlScalarNode)node).Value!;

    private static int Number(YamlNode node) => int.Parse(Text(node), CultureInfo.InvariantCulture);

    private static string After(string[] arguments, string name) => arguments[Array.IndexOf(arguments, name) + 1];
}
