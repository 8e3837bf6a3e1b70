namespace Glimmer.Data.Synthesis.Miniature;

/// <summary>A stage of the miniature's training that reads documents.</summary>
public enum MiniatureStage
{
    /// <summary>Pre-training on everything: arithmetic 32 %, world 25 %, strings and lists 18 %, stories and dialogues 21 % (14 % English, 7 % Chinese), tool traces 4 %.</summary>
    General,

    /// <summary>Pre-training with more reasoning: arithmetic and lists 70 %.</summary>
    Reasoning,

    /// <summary>Mid-training: conversations with worked thoughts, tool traces, small repositories, long lists, and a part of everything else.</summary>
    Middle,
}

/// <summary>A family of generated documents.</summary>
public enum MiniatureFamily
{
    /// <summary>Calculations: bare, worked, in a sentence.</summary>
    Arithmetic,

    /// <summary>Facts of an invented world.</summary>
    World,

    /// <summary>Strings and lists.</summary>
    Lists,

    /// <summary>English stories and dialogues.</summary>
    Stories,

    /// <summary>Chinese stories and dialogues.</summary>
    ChineseStories,

    /// <summary>Conversations with tool calls.</summary>
    Tools,

    /// <summary>Conversations in which the assistant thinks.</summary>
    Thinking,

    /// <summary>Several files of one repository.</summary>
    Repository,

    /// <summary>Lists twice as long.</summary>
    LongLists,
}
