using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Tensors;

namespace Glimmer.Tests.Models;

public class CheckpointMemoryTests
{
    [Fact]
    public void Weights_that_cannot_fit_are_refused_with_both_sizes()
    {
        TensorInfo[] tensors = [new("a", DType.Q8_0, [1_000_000, 3200], 3_400_000_000), new("b", DType.F8E4M3, [1000, 1000], 1_000_000, isComputed: true)];
        Checkpoint.CheckMemory("model", tensors, 3_404_000_000);
        string message = Assert.Throws<UnsupportedModelException>(() => Checkpoint.CheckMemory("model", tensors, 3_403_999_999)).Message;
        Assert.Contains("3.4 GB", message, StringComparison.Ordinal);
        Assert.Contains("'model'", message, StringComparison.Ordinal);
    }
}
