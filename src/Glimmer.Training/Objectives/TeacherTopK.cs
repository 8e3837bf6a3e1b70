namespace Glimmer.Training.Objectives;

/// <summary>What is kept of a teacher's distribution at each position of a document: its K best tokens.</summary>
/// <param name="Count">K.</param>
/// <param name="Tokens">Their ids, [T, K].</param>
/// <param name="LogProbabilities">Their log-probabilities in the teacher's full distribution, [T, K].</param>
public sealed record TeacherTopK(int Count, IReadOnlyList<int> Tokens, IReadOnlyList<double> LogProbabilities);
