using System.Text;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Tokenization;

/// <summary>Reads the <c>tokenizer.*</c> keys of a GGUF file, so that the tokenizer's tests need no other part of the library.</summary>
internal static class GgufMetadataReader
{
    public static GgufTokenizerMetadata Read(string path)
    {
        using var reader = new BinaryReader(File.OpenRead(path));
        if (reader.ReadUInt32() != 0x46554747)
            throw new InvalidDataException($"{path} is no GGUF file.");
        reader.ReadUInt32();
        reader.ReadUInt64();
        var values = new Dictionary<string, object>();
        for (ulong count = reader.ReadUInt64(); count > 0; count--)
        {
            string key = ReadString(reader);
            values[key] = ReadValue(reader, reader.ReadUInt32());
        }

        T? Get<T>(string key) where T : class => values.GetValueOrDefault("tokenizer." + key) as T;
        long? Id(string key) => values.TryGetValue($"tokenizer.ggml.{key}_token_id", out object? value) ? Convert.ToInt64(value) : null;
        bool? Flag(string key) => values.TryGetValue("tokenizer.ggml." + key, out object? value) ? (bool)value : null;
        return new GgufTokenizerMetadata
        {
            Model = Get<string>("ggml.model"),
            Pre = Get<string>("ggml.pre"),
            Tokens = Get<object[]>("ggml.tokens")?.Cast<string>().ToArray() ?? [],
            TokenTypes = Get<object[]>("ggml.token_type")?.Select(Convert.ToInt32).ToArray(),
            Merges = Get<object[]>("ggml.merges")?.Cast<string>().ToArray(),
            BosTokenId = Id("bos"),
            EosTokenId = Id("eos"),
            EotTokenId = Id("eot"),
            EomTokenId = Id("eom"),
            PaddingTokenId = Id("padding"),
            UnknownTokenId = Id("unknown"),
            AddBosToken = Flag("add_bos_token"),
            AddEosToken = Flag("add_eos_token"),
            ChatTemplate = Get<string>("chat_template"),
        };
    }

    private static object ReadValue(BinaryReader reader, uint type) => type switch
    {
        0 => reader.ReadByte(),
        1 => reader.ReadSByte(),
        2 => reader.ReadUInt16(),
        3 => reader.ReadInt16(),
        4 => reader.ReadUInt32(),
        5 => reader.ReadInt32(),
        6 => reader.ReadSingle(),
        7 => reader.ReadBoolean(),
        8 => ReadString(reader),
        9 => ReadArray(reader),
        10 => reader.ReadUInt64(),
        11 => reader.ReadInt64(),
        12 => reader.ReadDouble(),
        _ => throw new InvalidDataException($"Unknown GGUF value type {type}."),
    };

    private static object[] ReadArray(BinaryReader reader)
    {
        uint type = reader.ReadUInt32();
        var items = new object[reader.ReadUInt64()];
        for (int i = 0; i < items.Length; i++)
            items[i] = ReadValue(reader, type);
        return items;
    }

    private static string ReadString(BinaryReader reader) => Encoding.UTF8.GetString(reader.ReadBytes(checked((int)reader.ReadUInt64())));
}
