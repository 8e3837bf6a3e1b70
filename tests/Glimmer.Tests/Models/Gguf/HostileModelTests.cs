using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Tests.Formats;
using Xunit.Abstractions;

namespace Glimmer.Tests.Models.Gguf;

[Trait("Category", "Golden")]
public class HostileModelTests(ITestOutputHelper output)
{
    public static TheoryData<string> Cases => HostileCases.OfKinds("gguf_model", "gguf_split");

    [SkippableTheory]
    [MemberData(nameof(Cases))]
    public void Models_are_refused_or_read(string id)
    {
        Fixtures.SkipIfAbsent(id);
        output.WriteLine(HostileCases.Check(id, file =>
        {
            using Checkpoint checkpoint = Checkpoint.Open(file);
            Assert.NotEmpty(checkpoint.ConfigJson);
            foreach (TensorInfo info in checkpoint.Weights.Tensors)
                checkpoint.Weights.ReadFloat32(info.Name, new float[info.Count]);
        }));
    }
}
