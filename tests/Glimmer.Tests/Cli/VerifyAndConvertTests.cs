using System.Text.Json;
using Glimmer.Cli;

namespace Glimmer.Tests.Cli;

[Trait("Category", "Golden")]
public class VerifyAndConvertTests
{
    private static string? Smallest => Fixtures.Folder("models") is { } folder
        ? Directory.GetDirectories(folder).Where(d => File.Exists(Path.Combine(d, "reference.json")) && File.Exists(Path.Combine(d, "model.safetensors"))).MinBy(d => new FileInfo(Path.Combine(d, "reference.safetensors")).Length)
        : null;

    [SkippableFact]
    public void Recorded_values_agree_and_damaged_ones_do_not()
    {
        Fixtures.SkipIfAbsent(Smallest ?? "");
        JsonElement json = CommandRun.Of("verify", Smallest!, "--json", "--all").Succeeded().Json;
        Assert.True(json.GetProperty("passed").GetBoolean());
        JsonElement checkpoint = json.GetProperty("checkpoints")[0];
        Assert.True(checkpoint.GetProperty("keys").GetArrayLength() >= checkpoint.GetProperty("quantities").GetArrayLength());

        using var folder = new TemporaryFolder();
        foreach (string file in Directory.GetFiles(Smallest!))
            File.Copy(file, folder[Path.GetFileName(file)]);
        using (FileStream values = File.OpenWrite(folder["reference.safetensors"]))
        {
            values.Seek(-64, SeekOrigin.End);
            values.Write(new byte[64]);
        }

        CommandRun damaged = CommandRun.Of("verify", folder.ToString());
        Assert.Equal(ExitCodes.Failure, damaged.ExitCode);
        Assert.Contains("ABOVE", damaged.Output, StringComparison.Ordinal);
        Assert.Contains("values differ", damaged.Output, StringComparison.Ordinal);
    }

    [SkippableFact]
    public void A_gguf_file_becomes_a_folder_and_a_gguf_file_again()
    {
        string source = Fixtures.Folder(Path.Combine("formats", "gguf")) is { } files
            ? Directory.GetFiles(files, "model.gguf", SearchOption.AllDirectories).MinBy(file => new FileInfo(file).Length) ?? ""
            : "";
        Fixtures.SkipIfAbsent(source);
        using var folder = new TemporaryFolder();
        CommandRun.Of("convert", source, folder["there"], "--type", "f32").Succeeded();
        CommandRun.Of("convert", folder["there"], folder["back.gguf"], "--type", "Q8_0").Succeeded();
        CommandRun.Of("convert", source, folder["there"], "--type", "f32").Failed(ExitCodes.Failure, "exists already");
        CommandRun.Of("convert", source, folder["never"], "--type", "q4_0").Failed(ExitCodes.Failure, ".gguf");
        JsonElement before = CommandRun.Of("inspect", source, "--json").Succeeded().Json;
        foreach (string path in (string[])["there", "back.gguf"])
        {
            JsonElement after = CommandRun.Of("inspect", folder[path], "--json").Succeeded().Json;
            Assert.Equal(before.GetProperty("parameters").GetRawText(), after.GetProperty("parameters").GetRawText());
        }

        Assert.Equal(2, Directory.GetFileSystemEntries(folder.ToString()).Length);
    }
}
