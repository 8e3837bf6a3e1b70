namespace Glimmer.Training.Recipes;

/// <summary>A recipe is wrong; the message says where and what it may be.</summary>
public sealed class RecipeException(string message) : FormatException(message);
