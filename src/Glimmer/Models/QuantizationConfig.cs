namespace Glimmer.Models;

/// <summary>Checks <c>quantization_config</c>: which tensors are quantised is decided by their scale tensors, never by its lists.</summary>
internal static class QuantizationConfig
{
    public static void Check(ConfigReader config)
    {
        if (config.Object("quantization_config") is not { } json)
            return;
        switch (json.Text("quant_method"))
        {
            case "fp8":
                CheckFp8(json);
                break;
            case "compressed-tensors":
                CheckCompressedTensors(json);
                break;
            case null:
                throw json.Missing("quant_method");
            case var method:
                throw json.Unsupported("quant_method", method, "fp8 or compressed-tensors");
        }
    }

    private static void CheckFp8(ConfigReader json)
    {
        if (json.Text("fmt") is { } format && format is not ("e4m3" or "e5m2"))
            throw json.Unsupported("fmt", format, "e4m3 or e5m2");
        if (json.TryGet("weight_block_size", out _))
        {
            int[] size = json.TokenIds("weight_block_size");
            if (size is not [> 0, > 0])
                throw json.Wrong($"'weight_block_size' is [{string.Join(", ", size)}]; expected two positive numbers.");
        }
    }

    private static void CheckCompressedTensors(ConfigReader json)
    {
        if (json.Text("format") is { } format && format is not ("float-quantized" or "pack-quantized" or "naive-quantized" or "dense"))
            throw json.Unsupported("format", format, "float-quantized or pack-quantized");
        foreach ((string _, ConfigReader group) in json.Object("config_groups")?.Objects() ?? [])
        {
            if (group.Object("weights") is not { } weights)
                continue;
            string type = weights.Text("type") ?? "int";
            int bits = weights.Int("num_bits", 1) ?? 8;
            if (!((type == "float" && bits == 8) || (type == "int" && bits == 4)))
                throw weights.Unsupported("num_bits", $"{bits} ({type})", "8 (float) or 4 (int)");
            if (weights.TryGet("actorder", out var order) && order.ValueKind != System.Text.Json.JsonValueKind.False)
                throw weights.Unsupported("actorder", order.ToString(), "null: activation order is not read");
            if (weights.TryGet("group_size", out _) && weights.Int("group_size", -1) is 0)
                throw weights.Wrong("'group_size' is 0; expected a positive number of columns.");
        }
    }
}
