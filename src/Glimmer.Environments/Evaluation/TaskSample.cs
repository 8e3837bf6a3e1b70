using System.Text.Json;

namespace Glimmer.Environments.Evaluation;

/// <summary>One problem of a task.</summary>
/// <param name="Id">Its name in the data: results are kept under it.</param>
/// <param name="Data">Its row.</param>
public sealed record TaskSample(string Id, JsonElement Data);
