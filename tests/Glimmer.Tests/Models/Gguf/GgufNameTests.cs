using CsCheck;
using Glimmer.Models;
using Glimmer.Models.Gguf;
using Glimmer.Tensors;

namespace Glimmer.Tests.Models.Gguf;

public class GgufNameTests
{
    [Theory]
    [InlineData("glm4_moe")]
    [InlineData("glm4_moe_lite")]
    [InlineData("glm_moe_dsa")]
    [InlineData("llama")]
    public void Names_are_unique_in_both_directions(string modelType)
    {
        GgufArchitecture architecture = GgufArchitecture.OfModelType(modelType);
        Assert.Equal(architecture.Names.Count, architecture.Names.Select(n => n.Gguf).Distinct().Count());
        Assert.Equal(architecture.Names.Count, architecture.Names.Select(n => n.Hf).Distinct().Count());
        Assert.All(architecture.Names, n => Assert.Equal(n.Scope == GgufScope.Global, !n.Gguf.Contains("{0}", StringComparison.Ordinal)));
        Assert.All(architecture.Names, n => Assert.Equal(n.Form == GgufForm.ExpertStack, n.Hf.Contains("{1}", StringComparison.Ordinal)));
    }

    [Fact]
    public void Unknown_model_types_are_refused_by_name() =>
        Assert.Contains("'gemma'", Assert.Throws<UnsupportedModelException>(() => GgufArchitecture.OfModelType("gemma")).Message, StringComparison.Ordinal);

    [Fact]
    public void Interleaving_moves_every_row_of_a_head_within_the_head() => Gen.Select(Gen.Int[1, 6], Gen.Int[1, 40]).Sample((heads, half) =>
    {
        long headDim = 2 * half;
        long[] rows = [.. Enumerable.Range(0, (int)(heads * headDim)).Select(r => GgufWeights.InterleavedRow(r, headDim))];
        Assert.Equal(rows.Length, rows.Distinct().Count());
        for (int r = 0; r < rows.Length; r++)
        {
            Assert.Equal(r / headDim, rows[r] / headDim);
            (long s, long i) = Math.DivRem(r % headDim, half);
            Assert.Equal(2 * i + s, rows[r] % headDim);
        }
    });

    [Theory]
    [InlineData(DType.Q4_K, 4096, DType.Q4_K)]
    [InlineData(DType.Q4_K, 1408, DType.Q5_0)]
    [InlineData(DType.Q5_K, 192, DType.Q5_1)]
    [InlineData(DType.Q6_K, 192, DType.Q8_0)]
    [InlineData(DType.Q2_K, 10944, DType.IQ4_NL)]
    [InlineData(DType.Q3_K, 32, DType.IQ4_NL)]
    [InlineData(DType.IQ4_XS, 96, DType.IQ4_NL)]
    [InlineData(DType.TQ1_0, 64, DType.Q4_0)]
    [InlineData(DType.Nvfp4, 96, DType.Q4_0)]
    [InlineData(DType.Q4_K, 40, DType.F16)]
    [InlineData(DType.Q8_0, 48, DType.F16)]
    [InlineData(DType.BF16, 7, DType.BF16)]
    public void Rows_that_do_not_fit_get_a_smaller_block_type(DType wanted, long rowLength, DType expected) =>
        Assert.Equal(expected, StorageTypes.ForRows(wanted, rowLength));

    [Fact]
    public void Types_are_named_as_in_gguf()
    {
        Assert.Equal(DType.Q4_K, StorageTypes.Parse("q4_k"));
        Assert.Equal(DType.Mxfp4, StorageTypes.Parse("MXFP4"));
        Assert.Throws<UnsupportedModelException>(() => StorageTypes.Parse("iq2_xs"));
        Assert.Throws<UnsupportedModelException>(() => StorageTypes.Parse("i32"));
        Assert.Throws<UnsupportedModelException>(() => StorageTypes.Parse("17"));
    }
}
