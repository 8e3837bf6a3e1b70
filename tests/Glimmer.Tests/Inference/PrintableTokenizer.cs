using System.Text;
using System.Text.Json;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Inference;

/// <summary>A vocabulary that fits the tiny models: the printable characters of ASCII, some longer pieces, the end of text and the think markers.</summary>
internal static class PrintableTokenizer
{
    public const int EndOfText = 110, ThinkOpen = 111, ThinkClose = 112;

    private static readonly string[] s_pieces = ["{\"", "\":", ",\"", "\"}", "\",\"", "name", "true", "false", "in", "10"];

    public static Tokenizer Create()
    {
        // Byte-level BPE writes the space as U+0120; other printable characters stand for themselves.
        string[] texts = [.. Enumerable.Range(32, 95).Select(c => c == ' ' ? "\u0120" : ((char)c).ToString()), .. s_pieces];
        IEnumerable<string> vocabulary = texts.Select((text, id) => $"{JsonSerializer.Serialize(text)}:{id}");
        string added = string.Join(',', new (int Id, string Text)[] { (EndOfText, "<|endoftext|>"), (ThinkOpen, "<think>"), (ThinkClose, "</think>") }
            .Select(t => $$"""{"id":{{t.Id}},"content":"{{t.Text}}","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}"""));
        string json = $$"""
            {"version":"1.0","truncation":null,"padding":null,"added_tokens":[{{added}}],"normalizer":null,
             "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},"post_processor":null,
             "decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true},
             "model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":true,
                      "vocab":{ {{string.Join(',', vocabulary)}} },"merges":[]} }
            """;
        return Tokenizer.FromJson(Encoding.UTF8.GetBytes(json), """{"eos_token":"<|endoftext|>"}"""u8);
    }
}
