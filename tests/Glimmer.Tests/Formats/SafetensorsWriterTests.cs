using Glimmer.Formats;
using Glimmer.Tensors;

namespace Glimmer.Tests.Formats;

public class SafetensorsWriterTests
{
    [Theory]
    [InlineData(long.MaxValue)]
    [InlineData(100)]
    [InlineData(1)]
    public void What_the_writer_writes_the_reader_reads(long maxShardBytes)
    {
        using var temporary = new TemporaryFolder();
        DType[] types = [.. Enum.GetValues<DType>().Where(t => !t.IsBlockType())];
        TensorInfo[] tensors = [.. types.Select(t => new TensorInfo($"t.{t}", t, [3, 5])), new("scalar", DType.F32, []), new("empty", DType.F32, [0, 4]),
            new("name \"with\" \\ ü", DType.U8, [2])];
        var data = new Dictionary<string, byte[]>();
        var random = new Random(7);
        var metadata = new Dictionary<string, string> { ["format"] = "pt" };
        using (SafetensorsWriter writer = SafetensorsWriter.Create(temporary.ToString(), tensors, maxShardBytes, metadata))
        {
            foreach (TensorInfo info in tensors)
            {
                byte[] bytes = data[info.Name] = new byte[info.SizeBytes];
                random.NextBytes(bytes);
                writer.BeginTensor(info.Name);
                writer.Write(bytes);
            }

            writer.Complete();
        }

        List<SafetensorsFile> files = SafetensorsShards.Open(temporary.ToString());
        Assert.Equal(maxShardBytes == long.MaxValue, files.Count == 1);
        Assert.All(files, f => Assert.Equal("pt", f.Metadata["format"]));
        foreach (TensorInfo info in tensors)
        {
            SafetensorsFile file = files.Single(f => f.Find(info.Name) is not null);
            Assert.Equal(info.Type, file.Find(info.Name)!.Type);
            Assert.Equal(info.Shape.ToArray(), file.Find(info.Name)!.Shape.ToArray());
            Assert.True(file.View(info.Name).Bytes.SequenceEqual(data[info.Name]), info.ToString());
        }

        files.ForEach(f => f.Dispose());
    }

    [Fact]
    public void Block_types_and_repeated_names_are_refused()
    {
        using var temporary = new TemporaryFolder();
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Create(temporary.ToString(), [new TensorInfo("a", DType.Q8_0, [32])]));
        Assert.Throws<ArgumentException>(() =>
            SafetensorsWriter.Create(temporary.ToString(), [new TensorInfo("a", DType.F32, [1]), new TensorInfo("a", DType.F32, [1])]));
        Assert.Throws<ArgumentException>(() => new TensorInfo("a", DType.Q8_0, [4, 16]));
    }

    [Fact]
    public void An_unfinished_file_never_appears()
    {
        using var temporary = new TemporaryFolder();
        using (SafetensorsWriter writer = SafetensorsWriter.Create(temporary.ToString(), [new TensorInfo("a", DType.F32, [4])]))
        {
            writer.BeginTensor("a");
            Assert.Throws<InvalidOperationException>(writer.Complete);
        }

        Assert.Empty(Directory.GetFileSystemEntries(temporary.ToString()));
    }
}
