namespace Glimmer.Tokenization;

/// <summary>Code point ranges of Unicode 16.0, the version whose classes trained tokenizers were made with.</summary>
/// <remarks>
/// Base64 of pairs of LEB128 numbers: the distance of a range's first code point from the last one of the range before (the first
/// pair: from 0), then its last code point minus its first. .NET 10 has the same letters and numbers; they are carried here so that
/// a newer runtime with a newer Unicode never changes token ids.
/// Source: Unicode Character Database 16.0, classes as Oniguruma sees them (the regex engine of Hugging Face's tokenizers).
/// </remarks>
internal static class UnicodeRanges
{
    /// <summary>The letters, <c>\p{L}</c>: 141,028 code points.</summary>
    public const string Letters =
        "QRkHGTAACwAFAAYWAh4CyQMFCw8ECAACAIIBBAIBAwMCAAcAAgICAAITAlICigEJpQECJQMAByhIGgUDLiokAQJiAgAQAQgBCwIDABEAAh0eWAwAGSAKAQUABhUFAAoABAAYGAgKBhcCBRIp" +
        "OzUEABMACAkQDwUHAwEDFQIGAgAEAwQAEQAOAQICDwELAAkFBQEDFQIGAgECAQIBIAMCABQCEQgCAgIVAgYCAQIEBAATABABGAAMBwMBAxUCBgIBAgQEAB8BAgIQABIAAgUEAgIDBAECAAIB" +
        "BAEEAgQLFwA1BwICAhYCDwQAGwIDAAMBHwAFBwICAhYCCQIEBAAgAQIBEAESCAICAigDABEABgIJAhkFBhEEFwIIAgADBjsvAgENBjsBAgACBAIXAgACCQIBCgADBAIAFgMhAEAHAiMcBHQq" +
        "FQARBQUDBAAEAQgCBQwNABIlAgAGAAMqAswCAgMDBgIAAgMDKAIDAyACAwMGAgACAwMOAjgCAwNCJg8RVQMFBOsEAxACGQZKBwcIEQ4SDxEPDAICEDMkAAUARFgIBAMhAgAGRQseMh0DBAwr" +
        "BRk3Fgo0UwBeLhIHNx0OAQsrGyMqAgsjAwoGKgMCKgMCBQIBBAAGvwFBlQIDBQMlAwUDBwIAAgACAAIeAzQCBgIABAICBgQDAwUFDAYCAgZ1AA4AEQxmAAUAAwkCAAQEBwACAAIAAgMCCgMD" +
        "BgQFADUB/BTkAQcDBAENJQIABgADNwgAERYKBgIGAgYCBgIGAgYCBgIGUQDWAwErBAYBBVUHAgJZAgMGKgJdEh8xD4EEvzNBjK0BRC0DjAIEDwsBFS4RHgNFMggDZgNCAwECAAIHFg8CAgID" +
        "AhYeMw8xPwUEAAIBDBsLFhocCC4dABEEAgkLBAIoGAICBxUWBAAEMQIABAEDBAMAAgAZAgMKCAINBQMFAwUKBgIGAioCDQdyHqNXDRYFMIVC7QIDaScGDQQGAAIJAgwCBAIAAgECAQJrIuoC" +
        "Ez8DNSkLdQQChgElGQcZDFgEBQMFAwUDAiQLAhkCEgIBAg4DDSN6hgMcBDAwHw4TAgcHJQsdAyMFBzGdARMjBSMFJwkzDQoCDgIGAgECCgIOAgYCAQQzDbYCChULBxkFAikCCEYFAwACKwIB" +
        "BAADFgsWCh5CEgIBCxULGUc3BwFBABADAgICHCscBBwkBwIbHDULFQsSDhFvSDgyDjIOIycbChb7ASkHARECPBwLAAkVKxEvFBwWDTQ6AQMADiwhGBsjHgADAAkiBAANLw8DFgACACQRAhgU" +
        "AUAGAgACAwIOAgkILicHAwEDFQIGAgECBAQAEwANBB8JAgADAAIlAgAaAAIALTQTAxUCHy8VAQIAuQEuKgMlLxUAPCoOAEgaJga6ASt1PyAHAwADBwIBAhcQAAIAXwcDJhEAAgAdAAsnCAAW" +
        "AAwtFAATSMgBICAIAiQSADIdcQYCAQIlFgAaBQIBAh8PAMgCEhAAAgwCIX0AUJkH5wHDAc0UYBCvCBIFGpofBsYEujUd4w24BAgeEk4SHRMvEQMgFAYSsQMs1AE/gQFKBgBDDEEBAgAd9y8J" +
        "1QkqCehFAwIGAgECogIQAB4CAwAPAwmLA4USagYMBAgICecuVAJGAgEDAAMBAwMCCwIAAgYCQAIDAwcCBgIbAgMCBAIABAYC0wIDGAIYAh4CGAIeAhgCHgIYAh4CGAIHtQ4eBwWGAj2TASwL" +
        "BhEAwgIdEyvlAxvlAR0DAPADBgIDAgECDgLEATxDCAC1CQMCGgIBAgADAAIJAgMCAAIABwAFAAIAAgACAgIBAgADAAIAAgACAAIAAgECAAMDAgYCAwIDAgACCQIQBgICBAIQxSLfzQIhuSAH" +
        "3QEDgS0PsDoQ7QSjE50E4wvKJgbfIA==";

    /// <summary>The numbers, <c>\p{N}</c>: 1,911 code points.</summary>
    public const string Numbers =
        "MAl5AQYAAwKiCwmHAQnHAQmdAwl3CQUFbQl3CXcJAwVvDHQJCQZoCWkGCBJuCWEJdwlHE40CCUcJ0AUT8gYC8AEJBwkXCa0CCYEBCqYBCQcJtwEJVwmHAQkHCZcIAAQFBwnHATIDBNcFO08V" +
        "9wQd6goAigYAGggPAtgCA4sBCR8HAg4hCSgO4eYBCb0BCcECBZsBCScJxwEJFwlXCZcDCZemAQnuAywNOBIB1gIaJQMeAAkAhwEEywEJrwcHGgYoCEwEFwWhAQEDDwMtQQg1AR8CTARpBxkH" +
        "KgbLAgUxCQcJlwIenwEJKwNxBocBHYEBCT0JkQEJCBP8AQnXAgl3CfcCCWcJBxNNC6UDEl4JlwUJVxzkAQlHCacDCWcUrAhuwnkJpxIJVwmHAQkCBo8ECYcCFtq8AQnHCxMNE20Y1ggxwRIJ" +
        "pwMJ9wMJ+AEJzQUIgQEJmAY6AgICA00sAg7DBwzkFQk=";

    /// <summary>What <c>\w</c> holds beside the letters: 3,643 code points (marks, most numbers, connecting punctuation).</summary>
    public const string OtherWordCharacters =
        "MAkmAFMBBgADAsIEb5QCBogCLAIAAgECAQIASQoxHgcAZgYDBQMBAgMDCRgAHxpcChAJIggKABkDAggCAgIELAI8CCsXAiA3AgIRAgYLAQMJEgI5AAIGAwEDAgoACwEDCQ8AAwI5AAIEBQED" +
        "AgQAFQsEAAwCOQACBwICAgIVAQMJCwUCAjkAAgYDAQMCCAILAQMJEwA8BAQCAgMKAA8JEQQ4AAIGAgICAwgBDAEDCRICOQACBgICAgMIAQwBAwkEAA0DOAECBgICAgMKAAsBAwkSAkcABQUC" +
        "AAIHBwkDAT4AAwYNBwIJWAADCAwGAgk/AQcJDAACAAIABQEyEwIBBgoCIwoAZRMCCQ0DBQICAgMGBAMOCwIOwAUCjwcCIgMdAh4BHwFBHwoAAwkiAgIKbAEjAHcLBQsLCYEBCT4EOgkCHAMK" +
        "BwkXHjIEMBAMCRIIDQIfDAMJLQ0xEwkJBwl3AgIUBQAHAAMCxwE/wAQBFAB8IHAiAwOuBjOGEAKOAQBhH4gEABoOCQJfAYbrAQlGAwIJIQFHC5ECAAQABQAYBAUAVAEzEQsJBxEOCh0HGgwt" +
        "AzANEAkMAAsJMA0NAAkBAwkiAjMAAgIDAQYBAgAqBAYB7QEHAgEDCaWeAQDiBQ8RDwQBGQLBAQkmAIEENIkBAOMBAGEACQAsBFcEywEJ2AoCAgEGAykCBQCmAQG+BAMJCQcJIAS+AgFQA0cK" +
        "MgN7AjYOIAoDAQsDLgoIAC4JBwIlDQIJBgEtAA0CMQ0JAwILUwsHAAMAngELBgkHAzgBAgYDAQMCCgALAQMGBARECAIAAwACAwIEAgAPAVMRCgkFAFITDQnWAQYDCBwBUxAQCVIMCQkHEzoO" +
        "BQnzAQ6mAQlHBQIBAwMCAAIBDQl4BgMGBAAdCSkGAgMJAAoKLw/XAgk2BwIHEQk5FQINewUEAAIBAgYCAAkJMQQCAQIECQnKAgMKAQIAMQYEBA4Kpglu0h8ABw7JWRunEglXCScEPAYaCZcE" +
        "CdYDAAI2CANSAAwBrJkBAdIgCYcELQMWnwQEBAUJBwMGHwOVAQKKCzGBBDYFMQkADwAXBAIO0QoGAhADBgIBAgRlAKEBBgoJ5QIAPg3zAw31AQECCdYFBm4GBgnXDxkHGQcZ5xQJh4ow7wE=";

    /// <summary>Calls <paramref name="visit"/> with the first and last code point of every range of <paramref name="table"/>.</summary>
    public static void Visit(string table, Action<int, int> visit)
    {
        byte[] bytes = Convert.FromBase64String(table);
        int at = 0, last = 0;
        while (at < bytes.Length)
        {
            int first = last + ReadNumber(bytes, ref at);
            last = first + ReadNumber(bytes, ref at);
            visit(first, last);
        }
    }

    /// <summary>Reads one LEB128 number at <paramref name="at"/> and moves behind it.</summary>
    public static int ReadNumber(ReadOnlySpan<byte> bytes, ref int at)
    {
        int value = 0;
        for (int shift = 0; ; shift += 7)
        {
            byte b = bytes[at++];
            value |= (b & 0x7F) << shift;
            if (b < 0x80)
                return value;
        }
    }
}
