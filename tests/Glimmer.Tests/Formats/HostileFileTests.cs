using Glimmer.Formats;
using Glimmer.Tensors;
using Xunit.Abstractions;

namespace Glimmer.Tests.Formats;

[Trait("Category", "Golden")]
public class HostileFileTests(ITestOutputHelper output)
{
    public static TheoryData<string> SafetensorsCases => HostileCases.OfKinds("safetensors");

    public static TheoryData<string> IndexCases => HostileCases.OfKinds("safetensors_index");

    public static TheoryData<string> GgufCases => HostileCases.OfKinds("gguf", "gguf_split");

    [SkippableTheory]
    [MemberData(nameof(SafetensorsCases))]
    public void Safetensors_files_are_refused_or_read(string id)
    {
        Fixtures.SkipIfAbsent(id);
        output.WriteLine(HostileCases.Check(id, file =>
        {
            using SafetensorsFile opened = SafetensorsFile.Open(file);
            foreach (TensorInfo info in opened.Tensors)
                Touch(opened.View(info.Name));
        }));
    }

    [SkippableTheory]
    [MemberData(nameof(IndexCases))]
    public void Sharded_checkpoints_are_refused_or_read(string id)
    {
        Fixtures.SkipIfAbsent(id);
        output.WriteLine(HostileCases.Check(id, file =>
        {
            using WeightSource weights = SafetensorsWeights.Open(Path.GetDirectoryName(file)!);
            foreach (TensorInfo info in weights.Tensors)
                weights.ReadFloat32(info.Name, new float[info.Count]);
        }));
    }

    [SkippableTheory]
    [MemberData(nameof(GgufCases))]
    public void Gguf_files_are_refused_or_read(string id)
    {
        Fixtures.SkipIfAbsent(id);
        output.WriteLine(HostileCases.Check(id, file =>
        {
            using GgufFile opened = GgufFile.Open(file);
            foreach (GgufValue value in opened.Metadata.Values)
                _ = value.Value;
            foreach (TensorInfo info in opened.Tensors)
                Touch(opened.View(info.Name));
        }));
    }

    private static void Touch(Tensor tensor)
    {
        int sum = 0;
        foreach (byte b in tensor.Bytes)
            sum += b;
        GC.KeepAlive(sum);
    }
}
