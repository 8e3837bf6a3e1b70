using Glimmer.Chat;

namespace Glimmer.Server.Turns;

/// <summary>The text of a message's content, whichever form it has.</summary>
internal static class ContentText
{
    /// <summary>Text as it is; parts joined without anything between them, as one string would render.</summary>
    public static string Of(DataValue? content) => content switch
    {
        null => "",
        DataArray parts => string.Concat(parts.Select(part => (part as DataObject)?.Find("text")?.AsString ?? "")),
        _ => content.AsString ?? "",
    };
}
