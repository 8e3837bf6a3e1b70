using System.Text.Json;
using Glimmer.Chat;
using Glimmer.Formats;
using Glimmer.Models;
using Glimmer.Tokenization;

namespace Glimmer.Inference.Inspection;

/// <summary>Looks at a checkpoint without loading its weights: everything that can be validated is, and what is wrong is listed instead of thrown.</summary>
public sealed class CheckpointInspector
{
    private const int ListedNames = 3;
    private const int MissingLimit = 1000;

    private readonly string _path;
    private readonly List<string> _problems = [];
    private CheckpointReport _report;

    private CheckpointInspector(string path, CheckpointKind kind)
    {
        _path = path;
        _report = new CheckpointReport { Path = path, Kind = kind };
    }

    /// <summary>Inspects a folder, a <c>.safetensors</c>, <c>.gguf</c>, index or <c>config.json</c> file, a <c>tokenizer.json</c> or a chat template.</summary>
    /// <exception cref="FileNotFoundException">There is nothing at the path.</exception>
    /// <exception cref="ModelFormatException">The file is of none of these kinds.</exception>
    public static CheckpointReport Inspect(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        var inspector = new CheckpointInspector(path, KindOf(path));
        inspector.Run();
        return inspector._report with { Problems = inspector._problems };
    }

    private static CheckpointKind KindOf(string path)
    {
        if (Directory.Exists(path))
            return CheckpointKind.Folder;
        if (!File.Exists(path))
            throw new FileNotFoundException($"'{path}' does not exist. Name a checkpoint folder, a .safetensors, .gguf or index file, or a config.json.", path);
        string name = Path.GetFileName(path);
        return name switch
        {
            _ when name.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) => CheckpointKind.Gguf,
            _ when name.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase) => CheckpointKind.Safetensors,
            _ when name.EndsWith(".index.json", StringComparison.OrdinalIgnoreCase) => CheckpointKind.Index,
            "tokenizer.json" => CheckpointKind.Tokenizer,
            _ when name.EndsWith(".jinja", StringComparison.OrdinalIgnoreCase) => CheckpointKind.Template,
            _ when name.EndsWith(".json", StringComparison.OrdinalIgnoreCase) => CheckpointKind.Config,
            _ => throw new ModelFormatException($"'{path}' is no checkpoint: expected a folder, a .safetensors, .gguf or .index.json file, a config.json, a tokenizer.json or a .jinja template."),
        };
    }

    private void Run()
    {
        switch (_report.Kind)
        {
            case CheckpointKind.Config:
                ListFiles([_path]);
                Try(() => ReadConfig(File.ReadAllBytes(_path), _path));
                break;
            case CheckpointKind.Tokenizer:
                ListFiles([_path]);
                Try(() => SetTokenizer(Tokenizer.Load(_path)));
                break;
            case CheckpointKind.Template:
                ListFiles([_path]);
                Try(() => SetTemplate(new ChatTemplate(File.ReadAllText(_path))));
                break;
            default:
                Weights();
                break;
        }
    }

    private void Weights()
    {
        ListFiles(_report.Kind == CheckpointKind.Folder ? Directory.GetFiles(_path) : [_path]);
        if (!Try(() => WithCheckpoint()))
            WithoutCheckpoint();
    }

    private void WithCheckpoint()
    {
        using Checkpoint checkpoint = Checkpoint.Open(_path);
        _report = _report with { Tensors = checkpoint.Weights.Tensors, Gguf = checkpoint.Gguf is { } gguf ? (gguf.Version, gguf.Parts) : null };
        bool hasConfig = checkpoint.Gguf is not null || File.Exists(Path.Combine(checkpoint.Folder!, "config.json"));
        if (hasConfig)
            Try(() => ReadConfig(System.Text.Encoding.UTF8.GetBytes(checkpoint.ConfigJson), checkpoint.Gguf is null ? Path.Combine(checkpoint.Folder!, "config.json") : _path));
        else if (_report.Kind == CheckpointKind.Folder)
            _problems.Add($"'{_path}' has no config.json: the architecture is unknown. Download it from the same place as the weights.");
        if (_report.Config is { } config)
        {
            Try(() => CompareWithLayout(checkpoint.Weights, config));
            Try(() => _report = _report with { Generation = checkpoint.Generation, StopTokens = [.. checkpoint.Generation.EosTokenIds] });
        }

        if (checkpoint.Gguf is { } file ? HasTokenizer(file) : File.Exists(Path.Combine(checkpoint.Folder!, "tokenizer.json")))
        {
            Try(() =>
            {
                Tokenizer tokenizer = LoadedModel.OpenTokenizer(checkpoint);
                SetTokenizer(tokenizer);
                if (_report.Config is not null && _report.Generation is not null)
                    _report = _report with { StopTokens = [.. LoadedModel.Stops(checkpoint, tokenizer).Order()] };
            });
        }
    }

    // The checkpoint as a whole is refused, but parts of it can still be read.
    private void WithoutCheckpoint()
    {
        if (_report.Kind == CheckpointKind.Gguf)
        {
            Quietly(() =>
            {
                using GgufFile file = GgufFile.Open(_path);
                _report = _report with
                {
                    Tensors = file.Tensors,
                    Gguf = (file.Version, file.Parts),
                    Architecture = file.TryGetValue("general.architecture", out GgufValue? name) ? name.AsString() : null,
                };
                if (HasTokenizer(file))
                    SetTokenizer(TokenizerFiles.FromGguf(file));
            });
            return;
        }

        if (_report.Kind == CheckpointKind.Safetensors)
        {
            Quietly(() =>
            {
                using SafetensorsFile file = SafetensorsFile.Open(_path);
                _report = _report with { Tensors = file.Tensors };
            });
        }

        string folder = _report.Kind == CheckpointKind.Folder ? _path : Path.GetDirectoryName(Path.GetFullPath(_path))!;
        string config = Path.Combine(folder, "config.json");
        if (File.Exists(config))
            Quietly(() => ReadConfig(File.ReadAllBytes(config), config));
        if (File.Exists(Path.Combine(folder, "tokenizer.json")))
            Quietly(() => SetTokenizer(Tokenizer.Load(folder)));
    }

    private void ReadConfig(byte[] json, string where)
    {
        _report = _report with { Architecture = ArchitectureOf(json) };
        ModelConfig config = ModelConfig.Parse(json, where);
        _report = _report with { Config = config, StopTokens = config.EosTokenIds };
        _report = _report with { Parameters = ParameterCount.Of(config) };
    }

    private void SetTokenizer(Tokenizer tokenizer)
    {
        _report = _report with { Tokenizer = tokenizer };
        if (_report.Config is { } config && tokenizer.VocabularySize > config.VocabSize)
            _problems.Add($"The tokenizer has {tokenizer.VocabularySize} ids but the embedding only {config.VocabSize} rows ('vocab_size'): they do not belong together.");
        if (_report.StopTokens.Count == 0)
            _report = _report with { StopTokens = tokenizer.EndIds };
        Try(() =>
        {
            if (TokenizerFiles.TemplateOf(tokenizer) is { } template)
                SetTemplate(template);
        });
    }

    // Some faults of a template show only when it runs, and one that refuses this conversation can hold none.
    private void SetTemplate(ChatTemplate template)
    {
        _report = _report with { Template = template };
        template.Render([ChatMessage.User("Hello")]);
    }

    // Names and shapes against those the configuration asks for. One shard of several lacks most tensors, and that is right.
    private void CompareWithLayout(WeightSource weights, ModelConfig config)
    {
        bool hasNextToken = weights.Find($"model.layers.{config.NumHiddenLayers}.eh_proj.weight") is not null;
        _report = _report with { HasNextToken = hasNextToken };
        bool isPart = _report.Kind == CheckpointKind.Safetensors && Path.GetFileName(_path) != "model.safetensors";
        var missing = new List<string>();
        var known = new HashSet<string>(StringComparer.Ordinal);
        foreach (LayoutTensor expected in CheckpointLayout.All(config, hasNextToken))
        {
            if (weights.Find(expected.Name) is not { } stored)
            {
                if (!expected.IsOptional && !isPart)
                    missing.Add(expected.Name);
                if (missing.Count > MissingLimit || (isPart && known.Count == weights.Tensors.Count))
                    break;
                continue;
            }

            known.Add(expected.Name);
            int[] shape = stored.Shape.ToArray();
            if (expected.Name.EndsWith("weight", StringComparison.Ordinal) && weights.Find(ParameterLoader.AddedRowsOf(expected.Name)) is { } added)
            {
                known.Add(added.Name);
                shape[0] += added.Shape[0];
            }

            if (!shape.SequenceEqual(expected.Shape))
                _problems.Add($"'{expected.Name}' has the shape [{string.Join(", ", shape)}] but the configuration makes it [{string.Join(", ", expected.Shape)}]. One of the two is wrong.");
        }

        if (hasNextToken)
            known.Add(NextTokenHead.DraftTokensOf(config.NumHiddenLayers));
        if (missing.Count > 0)
        {
            string count = missing.Count > MissingLimit ? $"More than {MissingLimit}" : $"{missing.Count}";
            _problems.Add($"{count} tensors that the configuration asks for are missing: {Listed(missing)}. The download may be incomplete.");
        }

        // A tied checkpoint may store its output matrix all the same.
        List<string> unknown = [.. weights.Tensors.Select(tensor => tensor.Name).Where(name => !known.Contains(name) && name != "lm_head.weight" && !IsFurtherNextToken(name, config))];
        if (unknown.Count > 0 && missing.Count <= MissingLimit && !isPart)
            _problems.Add($"{unknown.Count} tensors belong to nothing in the configuration and are not used: {Listed(unknown)}.");
    }

    // Checkpoints with several MTP layers: the first is used.
    private static bool IsFurtherNextToken(string name, ModelConfig config)
    {
        for (int layer = config.NumHiddenLayers; layer < config.NumHiddenLayers + Math.Min(config.NumNextnPredictLayers, 16); layer++)
        {
            if (name.StartsWith($"model.layers.{layer}.", StringComparison.Ordinal))
                return layer > config.NumHiddenLayers;
        }

        return false;
    }

    // "none" stands for a file without a vocabulary.
    private static bool HasTokenizer(GgufFile file) => file.TryGetValue("tokenizer.ggml.model", out GgufValue? kind) && kind.Value is not "none";

    private static string? ArchitectureOf(byte[] json)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            JsonElement root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object)
                return null;
            if (root.TryGetProperty("architectures", out JsonElement names) && names.ValueKind == JsonValueKind.Array && names.GetArrayLength() > 0 && names[0].ValueKind == JsonValueKind.String)
                return names[0].GetString();
            return root.TryGetProperty("model_type", out JsonElement type) && type.ValueKind == JsonValueKind.String ? type.GetString() : null;
        }
        catch (JsonException)
        {
            return null; // ModelConfig.Parse says what is wrong
        }
    }

    private void ListFiles(string[] paths) =>
        _report = _report with { Files = [.. paths.Order(StringComparer.Ordinal).Select(path => (Path.GetFileName(path), new FileInfo(path).Length))] };

    private bool Try(Action action)
    {
        try
        {
            action();
            return true;
        }
        catch (Exception error) when (error is ModelFormatException or UnsupportedModelException or JinjaException or IOException or UnauthorizedAccessException or OverflowException)
        {
            if (!_problems.Contains(error.Message))
                _problems.Add(error.Message);
            return false;
        }
    }

    // For what was refused once already: the first message is the one that counts.
    private void Quietly(Action action)
    {
        int before = _problems.Count;
        if (!Try(action))
            _problems.RemoveRange(before, _problems.Count - before);
    }

    private static string Listed(List<string> names) => string.Join(", ", names.Take(ListedNames).Select(name => $"'{name}'")) + (names.Count > ListedNames ? " ..." : "");
}
