using CsCheck;
using Glimmer.Data;
using Glimmer.Data.Tokens;
using Glimmer.Tokenization;

namespace Glimmer.Tests.Data.Tokens;

public class TokenShardTests
{
    private static readonly Tokenizer s_tokenizer = Train(PreTokenizer.Qwen2), s_other = Train(PreTokenizer.Glm);

    [Fact]
    public void Shards_give_back_every_document_with_its_end() =>
        Gen.Select(Gen.String.List[1, 40], Gen.Int[1, 60]).Sample(sample =>
        {
            (List<string> texts, int shardTokens) = sample;
            using var folder = new TemporaryFolder();
            TokenizingProgress done = TokenShards.Write(folder.ToString(), Documents(texts), s_tokenizer, new TokenShardOptions { ShardTokens = shardTokens });
            using TokenShards shards = TokenShards.Open(folder.ToString(), s_tokenizer);
            Assert.Equal(texts.Count, shards.Count);
            Assert.Equal(done, new TokenizingProgress(shards.Count, shards.TokenCount, texts.Sum(text => (long)System.Text.Encoding.UTF8.GetByteCount(text))));
            int end = s_tokenizer.TokenToId("<|endoftext|>")!.Value;
            Assert.Equal(end, shards.Shards[0].EndOfText);
            Assert.Equal(2, shards.Shards[0].TokenBytes);
            for (int i = 0; i < texts.Count; i++)
                Assert.Equal([.. s_tokenizer.Encode(texts[i]), end], shards[i]);
            Assert.Equal(shards, Enumerable.Range(0, shards.Count).Select(i => shards[i]));
            foreach (TokenShard shard in shards.Shards)
                shard.Verify();
        }, iter: 20);

    [Fact]
    public void Control_tokens_are_meant_only_in_trusted_documents()
    {
        using var folder = new TemporaryFolder();
        TokenShards.Write(folder.ToString(), [new Document("a", "<|user|>"), new Document("b", "<|user|>") { HasControlTokens = true }], s_tokenizer, new TokenShardOptions { EndOfText = null });
        using TokenShards shards = TokenShards.Open(folder.ToString());
        Assert.Equal(s_tokenizer.Encode("<|user|>"), shards[0]);
        Assert.Equal([s_tokenizer.TokenToId("<|user|>")!.Value], shards[1]);
        Assert.Null(shards.Shards[0].EndOfText);
    }

    [Fact]
    public void Damaged_shards_are_refused_and_a_changed_byte_is_found()
    {
        using var folder = new TemporaryFolder();
        TokenShards.Write(folder.ToString(), Documents(["one two three", "four"]), s_tokenizer);
        string path = folder["00000.tokens"];
        byte[] whole = File.ReadAllBytes(path);
        Fails(whole[..^1], "cut off");
        Fails([1, .. whole[1..]], "no shard");
        Fails([.. whole[..8], 9, .. whole[9..]], "version 9");
        Fails([.. whole[..12], 3, .. whole[13..]], "header of the shard is damaged");
        Fails([], "no shard");
        whole[130] ^= 1;
        File.WriteAllBytes(path, whole);
        using TokenShard shard = TokenShard.Open(path);
        Assert.Contains("hash of its header", Assert.Throws<ModelFormatException>(shard.Verify).Message, StringComparison.Ordinal);

        void Fails(byte[] bytes, string reason)
        {
            File.WriteAllBytes(path, bytes);
            Assert.Contains(reason, Assert.Throws<ModelFormatException>(() => TokenShard.Open(path)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Tokens_of_another_tokenizer_are_refused()
    {
        using var folder = new TemporaryFolder();
        TokenShards.Write(folder.ToString(), Documents(["one"]), s_tokenizer);
        Assert.Contains("Tokenise the text again", Assert.Throws<ModelFormatException>(() => TokenShards.Open(folder.ToString(), s_other)).Message, StringComparison.Ordinal);
        Assert.NotEqual(TokenizerFingerprint.Of(s_tokenizer), TokenizerFingerprint.Of(s_other));
        Assert.Equal(TokenizerFingerprint.Of(s_tokenizer), TokenizerFingerprint.Of(Train(PreTokenizer.Qwen2)));
    }

    [Fact]
    public void Writing_never_mixes_with_what_is_there_and_leaves_no_half_shard()
    {
        using var folder = new TemporaryFolder();
        Assert.Throws<InvalidOperationException>(() => TokenShards.Write(folder.ToString(), Failing(), s_tokenizer));
        Assert.Empty(Directory.GetFiles(folder.ToString()));
        Assert.Throws<ArgumentException>(() => TokenShards.Write(folder.ToString(), Documents(["one"]), s_tokenizer, new TokenShardOptions { EndOfText = "<none>" }));
        Assert.Throws<ModelFormatException>(() => TokenShards.Write(folder.ToString(), [], s_tokenizer));
        Assert.Throws<ModelFormatException>(() => TokenShards.Open(folder.ToString()));
        TokenShards.Write(folder.ToString(), Documents(["one"]), s_tokenizer);
        Assert.Throws<IOException>(() => TokenShards.Write(folder.ToString(), Documents(["two"]), s_tokenizer));

        static IEnumerable<Document> Failing()
        {
            yield return new Document("a", "text");
            throw new InvalidOperationException("The source failed.");
        }
    }

    private static Document[] Documents(IEnumerable<string> texts) => [.. texts.Select((text, i) => new Document($"{i}", text))];

    private static Tokenizer Train(PreTokenizer preTokenizer) =>
        BpeTrainer.Train(["one two three four 1234"], new BpeTrainerOptions { VocabularySize = 270, PreTokenizer = preTokenizer })
            .ToTokenizer(new TokenizerLayout { AddedTokens = [("<|endoftext|>", true), ("<|user|>", true)] });
}
