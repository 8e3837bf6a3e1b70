namespace Glimmer.Data.Synthesis.Nano;

/// <summary>An instruction about the form of an answer that a program can check.</summary>
/// <param name="Kind">What it is about.</param>
/// <param name="Text">How the user says it.</param>
/// <param name="Apply">Makes an answer obey.</param>
/// <param name="Holds">Whether an answer obeys.</param>
public sealed record CheckableInstruction(string Kind, string Text, Func<string, string> Apply, Func<string, bool> Holds);
