using Glimmer.Tensors;

namespace Glimmer.Models;

/// <summary>Tokens drafted one after another by the MTP layer.</summary>
/// <param name="Tokens">The drafts, most likely token of each step.</param>
/// <param name="FirstStates">z of the first step at all its positions, [N, D].</param>
/// <param name="States">z of each step at the position that drafts, [steps, D].</param>
/// <param name="Logits">Logits of each step, [steps, V].</param>
public sealed record DraftChain(IReadOnlyList<int> Tokens, Tensor FirstStates, Tensor States, Tensor Logits);
