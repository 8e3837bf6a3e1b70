namespace Glimmer.Kernels;

/// <summary>The lanes of rule 3 of docs/adr/0001.</summary>
internal static class Lanes
{
    /// <summary>Lanes in a group: elements i, i + 32, i + 64, ... of a row meet in one lane.</summary>
    public const int Count = 32;
}
