using Glimmer.Training.Batching;
using Glimmer.Training.Optimizers;
using Glimmer.Training.Recipes;

namespace Glimmer.Tests.Training.Recipes;

public class RecipeFileTests
{
    private const string Text = """
        # A stage.
        model: s2/config.json
        output: "runs/a"
        tokens: 9_000_000
        sequence-length: 256
        packing: best_fit
        data:
          - path: facts.tokens
            weight: 0.25
            max_epochs: 60
          - {path: lists.tokens}
        learning_rate: {peak: 3e-3, shape: wsd, decay_tokens: 1e6}
        optimizer:
          matrices: adam_w
        """;

    [Fact]
    public void A_recipe_is_read_with_defaults_for_what_it_does_not_say()
    {
        TrainingRecipe recipe = Read(Text);
        Assert.Equal(("s2/config.json", "runs/a", 9_000_000L, 256), (recipe.Model, recipe.Output, recipe.Tokens, recipe.SequenceLength));
        Assert.Equal((RowPacking.BestFit, MatrixRule.AdamW, 0.1f), (recipe.Packing, recipe.Optimizer.Matrices, recipe.Optimizer.WeightDecay));
        Assert.Equal((3e-3, LearningRateShape.Wsd, 1e6), (recipe.LearningRate.Peak, recipe.LearningRate.Shape, recipe.LearningRate.DecayTokens));
        Assert.Equal([("facts.tokens", 0.25, 60d), ("lists.tokens", 1, null)], recipe.Data.Select(data => (data.Path, data.Weight, data.MaxEpochs)));
    }

    [Fact]
    public void Options_win_over_the_file()
    {
        TrainingRecipe recipe = Read(Text, ("learning-rate.peak", "1e-4"), ("data.1.weight", "0.5"), ("mtp.depths", "1"), ("held_out.path", "valid.tokens"), ("tokens", "5e6"));
        Assert.Equal((1e-4, 0.5, 1, "valid.tokens", 5_000_000L), (recipe.LearningRate.Peak, recipe.Data[1].Weight, recipe.Mtp.Depths, recipe.HeldOut!.Path, recipe.Tokens));
    }

    [Fact]
    public void What_is_written_reads_to_the_same_recipe()
    {
        TrainingRecipe recipe = Read(Text);
        string text = RecipeFile.Write(recipe, RecipeJson.Default.TrainingRecipe);
        Assert.Contains("shape: \"wsd\"", text, StringComparison.Ordinal);
        Assert.Equal(text, RecipeFile.Write(Read(text), RecipeJson.Default.TrainingRecipe));
    }

    [Theory]
    [InlineData("lerning_rate: 3", "there is no key 'lerning_rate'. Did you mean 'learning_rate'?")]
    [InlineData("save: {evry: 3}", "there is no key 'save.evry'. Did you mean 'every'?")]
    [InlineData("data: [{path: a, wheight: 3}]", "there is no key 'data.0.wheight'. Did you mean 'weight'?")]
    [InlineData("tokens: many", "'tokens'")]
    [InlineData("tokens: 1\ntokens: 2", "Duplicate")]
    [InlineData("a: [", "not valid YAML")]
    [InlineData("- 1", "expected keys with values")]
    [InlineData("packing: tight", "'packing'")]
    public void A_wrong_recipe_says_what_is_wrong(string text, string message)
    {
        RecipeException error = Assert.Throws<RecipeException>(() => Read(text));
        Assert.Contains(message, error.Message, StringComparison.OrdinalIgnoreCase);
        Assert.Contains("recipe.yaml", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_option_for_an_entry_that_does_not_exist_says_so()
    {
        RecipeException error = Assert.Throws<RecipeException>(() => Read(Text, ("data.7.weight", "1")));
        Assert.Contains("a list of 2 entries", error.Message, StringComparison.Ordinal);
    }

    private static TrainingRecipe Read(string text, params (string Key, string Value)[] overrides)
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["recipe.yaml"], text);
        return TrainingRecipe.Load(folder["recipe.yaml"], overrides.Select(pair => KeyValuePair.Create(pair.Key, pair.Value)));
    }
}
