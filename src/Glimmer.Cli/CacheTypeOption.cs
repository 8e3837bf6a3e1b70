using System.CommandLine;
using Glimmer.Kernels;

namespace Glimmer.Cli;

/// <summary><c>--kv-cache-type</c>: how keys and values of the context are kept.</summary>
internal static class CacheTypeOption
{
    public static Option<string> Create()
    {
        var option = new Option<string>("--kv-cache-type")
        {
            Description = "How keys and values of the context are kept: f32, bf16 (half the memory) or int8 (a quarter).",
            DefaultValueFactory = _ => "f32",
        };
        option.AcceptOnlyFromAmong("f32", "bf16", "int8");
        return option;
    }

    public static KeyValueType Read(ParseResult parsed, Option<string> option) => parsed.GetValue(option) switch
    {
        "bf16" => KeyValueType.BF16,
        "int8" => KeyValueType.Int8,
        _ => KeyValueType.F32,
    };
}
