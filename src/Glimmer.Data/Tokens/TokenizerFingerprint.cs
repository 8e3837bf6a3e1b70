using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Glimmer.Tokenization;

namespace Glimmer.Data.Tokens;

/// <summary>A hash that tells tokenizers apart, whatever file they come from.</summary>
public static class TokenizerFingerprint
{
    // Merges are not visible from outside, but two tokenizers with equal tokens and other merges cut this text differently with near certainty.
    private const string Probe =
        "The quick brown fox jumps over 13 lazy dogs; unbelievable internationalisation! 天地玄黄，宇宙洪荒。 naïve façade\r\n\tfor (int i = 0; i < 1024; i++) { sum += values[i]; }\n  <think></think> 3.14159 e-mail@example.org";

    /// <summary>SHA-256 over the tokens with their kinds, the pre-tokenizer and the ids of a fixed text.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <returns>32 bytes as lower-case hexadecimal digits.</returns>
    public static string Of(Tokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> number = stackalloc byte[4];
        hash.AppendData(Encoding.UTF8.GetBytes(tokenizer.PreTokenizer.ToString()));
        for (int id = 0; id < tokenizer.VocabularySize; id++)
        {
            ReadOnlySpan<byte> token = tokenizer.HasToken(id) ? tokenizer.TokenBytes(id) : [];
            Append(token.Length << 2 | (tokenizer.IsAdded(id) ? 2 : 0) | (tokenizer.IsSpecial(id) ? 1 : 0), number);
            hash.AppendData(token);
        }

        foreach (int id in tokenizer.Encode(Probe))
            Append(id, number);
        return Convert.ToHexStringLower(hash.GetHashAndReset());

        void Append(int value, Span<byte> bytes)
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
            hash.AppendData(bytes);
        }
    }
}
