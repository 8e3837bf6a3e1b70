using System.Globalization;
using Glimmer.Chat;
using Glimmer.Formats;
using Glimmer.Inference.Inspection;
using Glimmer.Models;
using Glimmer.Tokenization;
using Spectre.Console;

namespace Glimmer.Cli;

/// <summary>An inspection as text.</summary>
internal sealed class InspectionView(Terminal terminal)
{
    private const int ListedTokens = 12;

    /// <summary>Writes what there is.</summary>
    public void Write(CheckpointReport? report, HardwareReport? hardware, bool tensors)
    {
        if (report is not null)
            Write(report, tensors);
        if (hardware is not null)
            Write(hardware);
    }

    private void Write(CheckpointReport report, bool tensors)
    {
        terminal.Output.WriteLine(terminal.Styled("1", report.Path));
        Line("format", Format(report));
        if (report.Architecture is not null)
            Line("architecture", report.Config is { } c ? $"{report.Architecture} ({c.ModelType}{(c.ModelType == "llama" ? ", runs as a dense glm4_moe" : "")})" : $"{report.Architecture} (not supported)");
        if (report.Parameters is { } count)
            Parameters(report, count);
        if (report.Tensors.Count > 0)
            Line("weights", $"{Quantities.Bytes(report.StoredBytes)}, {report.StoredElements:n0} numbers in {report.Tensors.Count:n0} tensors");
        if (report.Config is { } config)
            Model(report, config);
        if (report.Tokenizer is { } tokenizer)
            Tokens(report, tokenizer);
        else if (report.StopTokens.Count > 0)
            Line("stop tokens", string.Join(", ", report.StopTokens));
        if (report.Template is { } template)
            Line("chat template", $"{template.Source.Length:n0} characters, {Grammar(template.Grammar)}");
        else if (report.Tokenizer is not null)
            Line("chat template", "none");
        Types(report);
        if (tensors)
            List(report.Tensors);
        if (report.Kind == CheckpointKind.Folder && report.Files.Count > 0)
            Line("files", string.Join(", ", report.Files.Select(file => $"{file.Name} ({Quantities.Bytes(file.Bytes)})")));
        foreach (string problem in report.Problems)
            terminal.Output.WriteLine($"{terminal.Styled("31", "problem")}{new string(' ', 9)}{problem}");
        if (report.Problems.Count == 0)
            Line("problems", "none");
    }

    private void Write(HardwareReport hardware)
    {
        Line("processor", $"{hardware.Processor}, {hardware.Cores} logical cores");
        Line("kernels", $"{hardware.Kernels} ({hardware.VectorBits}-bit registers)");
        Line("integers", $"{hardware.IntegerProducts} multiplies quantised weights by 8-bit activations");
        Line("weights", $"packed as {string.Join(", ", hardware.WeightForms)}; others widened to F32");
        Line("keys and values", $"{hardware.CacheType} unless --kv-cache-type says otherwise");
        Line("memory", $"{Quantities.Bytes(hardware.MemoryBytes)} for this process, {Quantities.Bytes(hardware.AvailableBytes)} available now");
        Line("huge pages", hardware.HugePages switch
        {
            "madvise" => "on request: weights and caches ask for them",
            "always" => "always",
            "never" => "never: the system forbids them",
            _ => "unknown",
        });
        Line("runtime", hardware.Runtime);
    }

    private static string Format(CheckpointReport report) => report.Kind switch
    {
        CheckpointKind.Folder when report.Gguf is { } gguf => $"folder with GGUF version {gguf.Version}{(gguf.Parts > 1 ? $" in {gguf.Parts} parts" : "")}",
        CheckpointKind.Folder => "folder in the Hugging Face layout",
        CheckpointKind.Gguf => report.Gguf is { } gguf ? $"GGUF version {gguf.Version}{(gguf.Parts > 1 ? $" in {gguf.Parts} parts" : "")}" : "GGUF",
        CheckpointKind.Safetensors => "safetensors file",
        CheckpointKind.Index => "safetensors index",
        CheckpointKind.Config => "configuration without weights",
        CheckpointKind.Tokenizer => "tokenizer",
        _ => "chat template",
    };

    private void Parameters(CheckpointReport report, ParameterCount count)
    {
        string nextToken = count.NextToken > 0 ? $" and {Quantities.Parameters(count.NextToken)} in the MTP layer" : "";
        Line("parameters", $"{Quantities.Parameters(count.Trunk)}{nextToken}");
        Line("active a token", $"{Quantities.Parameters(count.Active)} in matrices, {Quantities.Parameters(count.ActiveHead)} of them the output matrix");
        if (report.Tensors.Count == 0)
            Line("as bf16", $"{Quantities.Bytes(count.Total * 2)} in {count.Tensors:n0} tensors");
    }

    private void Model(CheckpointReport report, ModelConfig config)
    {
        int sparse = config.SparseLayers.Count(isSparse => isSparse);
        Line("layers", sparse == 0 ? $"{config.NumHiddenLayers}, all dense" : $"{config.NumHiddenLayers}, {config.NumHiddenLayers - sparse} dense and {sparse} sparse");
        Line("hidden size", $"{config.HiddenSize:n0}, dense layers {config.IntermediateSize:n0} wide");
        Line("attention", Attention(config));
        if (sparse > 0)
            Line("experts", $"{config.NRoutedExperts} routed, {config.NumExpertsPerTok} chosen a token, {config.NSharedExperts} shared, {config.MoeIntermediateSize:n0} wide{(config.NGroup > 1 ? $", {config.TopkGroup} of {config.NGroup} groups" : "")}");
        bool withWeights = report.Tensors.Count > 0;
        if (config.NumNextnPredictLayers > 0)
            Line("MTP", withWeights && report.Kind != CheckpointKind.Config ? report.HasNextToken ? "1 layer" : "configured, but its weights are not here" : $"{config.NumNextnPredictLayers} layer");
        Line("context", $"{config.MaxPositionEmbeddings:n0} tokens");
        Line("vocabulary", $"{config.VocabSize:n0} rows{(config.TieWordEmbeddings ? ", output matrix tied to the embedding" : "")}");
        if (report.Generation is { DoSample: true } generation)
            Line("sampling", $"temperature {generation.Temperature ?? 1}, top-p {generation.TopP ?? 1}, top-k {(generation.TopK is > 0 ? generation.TopK : "off")}");
    }

    private static string Attention(ModelConfig config)
    {
        string rope = string.Create(CultureInfo.InvariantCulture, $"{config.RotaryDim} rotary dimensions, base {config.RopeTheta:g}");
        if (config.Architecture == ModelArchitecture.Glm4Moe)
            return $"{config.NumAttentionHeads} heads of {config.HeadDim}, {config.NumKeyValueHeads} for keys and values, {rope}{(config.UseQkNorm ? ", q and k normalised" : "")}{(config.AttentionBias ? ", biases" : "")}";
        string indexer = config.Architecture == ModelArchitecture.GlmMoeDsa ? $", {config.IndexTopk:n0} keys chosen by {config.IndexerLayers.Count(own => own)} indexers" : "";
        return $"MLA, {config.NumAttentionHeads} heads, latents {config.QLoraRank?.ToString(CultureInfo.InvariantCulture) ?? "none"} and {config.KvLoraRank}, {rope}{indexer}";
    }

    private void Tokens(CheckpointReport report, Tokenizer tokenizer)
    {
        Line("tokenizer", $"{tokenizer.VocabularySize:n0} ids, {tokenizer.AddedTokens.Count} added, pieces as {tokenizer.PreTokenizer}");
        List<AddedToken> special = [.. tokenizer.AddedTokens.Where(token => token.IsSpecial)];
        if (special.Count > 0)
            Line("special tokens", string.Join(", ", special.Take(ListedTokens).Select(token => $"{token.Id} {token.Text}")) + (special.Count > ListedTokens ? $" and {special.Count - ListedTokens} more" : ""));
        if (report.StopTokens.Count > 0)
            Line("stop tokens", string.Join(", ", report.StopTokens.Select(id => $"{id} {tokenizer.IdToToken(id)}".TrimEnd())));
    }

    private static string Grammar(MessageGrammar grammar) => (grammar.Thinking, grammar.ToolCalls) switch
    {
        (true, true) => "with thinking and GLM's tool calls" + (grammar == MessageGrammar.Glm45 ? " (layout of GLM-4.5)" : grammar == MessageGrammar.Glm47 ? " (layout of GLM-4.7)" : ""),
        (true, false) => "with thinking, without tool calls",
        (false, true) => "with tool calls, without thinking",
        _ => "plain text",
    };

    private void Types(CheckpointReport report)
    {
        if (report.Tensors.Count == 0)
            return;
        Table table = terminal.NewTable("type", "#tensors", "#numbers", "#size", "#bits each");
        foreach (TypeShare share in report.Types)
        {
            Terminal.AddRow(
                table, share.Type.ToString(), $"{share.Tensors:n0}", $"{share.Elements:n0}", Quantities.Bytes(share.Bytes),
                share.Elements == 0 ? "" : (8.0 * share.Bytes / share.Elements).ToString("0.##", CultureInfo.InvariantCulture));
        }

        terminal.Write(table);
    }

    private void List(IReadOnlyList<TensorInfo> tensors)
    {
        Table table = terminal.NewTable("tensor", "type", "shape", "#size");
        foreach (TensorInfo tensor in tensors)
            Terminal.AddRow(table, tensor.Name, tensor.Type.ToString(), $"[{string.Join(", ", tensor.Shape.ToArray())}]", Quantities.Bytes(tensor.SizeBytes));
        terminal.Write(table);
    }

    private void Line(string name, string value) => terminal.Output.WriteLine($"{terminal.Styled("2", name.PadRight(16))}{value}");
}
