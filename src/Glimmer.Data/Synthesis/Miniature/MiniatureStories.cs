using System.Globalization;
using System.Text;

namespace Glimmer.Data.Synthesis.Miniature;

/// <summary>The family of stories and dialogues: a template grammar with agreement and actors that come back, in English and Chinese.</summary>
internal static class MiniatureStories
{
    private sealed record Actor(string Name, string Chinese, bool IsFemale);

    private static readonly Actor[] s_actors =
    [
        new("Anna", "安娜", true), new("Ben", "小本", false), new("Clara", "小兰", true), new("David", "大卫", false), new("Emma", "小雨", true), new("Felix", "小飞", false),
        new("Grace", "小梅", true), new("Hugo", "小虎", false), new("Ida", "小红", true), new("Jonas", "小军", false), new("Lena", "小丽", true), new("Max", "小明", false),
    ];

    private static readonly (string, string)[] s_places =
    [
        ("garden", "花园"), ("forest", "森林"), ("market", "市场"), ("beach", "海滩"), ("library", "图书馆"), ("school", "学校"), ("river", "河边"), ("kitchen", "厨房"), ("hill", "山上"), ("farm", "农场"),
    ];

    private static readonly (string, string)[] s_things =
    [
        ("ball", "球"), ("book", "书"), ("kite", "风筝"), ("hat", "帽子"), ("key", "钥匙"), ("basket", "篮子"), ("lamp", "灯"), ("letter", "信"), ("coin", "硬币"), ("map", "地图"),
    ];

    private static readonly (string, string)[] s_adjectives = [("small", "小"), ("old", "旧"), ("new", "新"), ("red", "红"), ("blue", "蓝"), ("heavy", "重"), ("pretty", "漂亮"), ("round", "圆")];
    private static readonly (string, string)[] s_weather = [("sunny", "晴朗"), ("rainy", "下雨"), ("cold", "寒冷"), ("windy", "刮风"), ("warm", "温暖")];
    private static readonly (string, string)[] s_days = [("Monday", "星期一"), ("Tuesday", "星期二"), ("Wednesday", "星期三"), ("Thursday", "星期四"), ("Friday", "星期五"), ("Saturday", "星期六"), ("Sunday", "星期天")];

    /// <summary>A story or a dialogue.</summary>
    /// <param name="choices">Choices.</param>
    /// <param name="isChinese">Its language.</param>
    public static (string Task, ulong Key, string Text) Document(Choices choices, bool isChinese)
    {
        bool isDialogue = choices.Chance(0.35);
        // Actors, place, thing and its quality are the plot, which decides the split.
        (Actor[] actors, (string, string) place, (string, string) thing, (string, string) adjective) = choices.Draw(
            c => (c.Some(s_actors, 2), c.Pick(s_places), c.Pick(s_things), c.Pick(s_adjectives)),
            plot => CorpusKey.SplitOf(PlotKey(plot.Item1, plot.Item2.Item1, plot.Item3.Item1, plot.Item4.Item1)));
        ulong key = PlotKey(actors, place.Item1, thing.Item1, adjective.Item1);
        string text = (isDialogue, isChinese) switch
        {
            (false, false) => Story(choices, actors[0], actors[1], place.Item1, thing.Item1, adjective.Item1),
            (false, true) => ChineseStory(choices, actors[0], actors[1], place.Item2, thing.Item2, adjective.Item2),
            (true, false) => Dialogue(choices, actors[0].Name, actors[1].Name, place.Item1, thing.Item1, adjective.Item1),
            _ => ChineseDialogue(choices, actors[0].Chinese, actors[1].Chinese, place.Item2, thing.Item2, adjective.Item2),
        };
        return ($"{(isDialogue ? "dialogue" : "stories")}/{(isChinese ? "zh" : "en")}", key, text);
    }

    private static ulong PlotKey(Actor[] actors, string place, string thing, string adjective) => CorpusKey.Of("story", actors[0].Name, actors[1].Name, place, thing, adjective);

    private static string Story(Choices choices, Actor a, Actor b, string place, string thing, string adjective)
    {
        string he = a.IsFemale ? "she" : "he", his = a.IsFemale ? "her" : "his", other = b.IsFemale ? "she" : "he", him = b.IsFemale ? "her" : "him";
        string article = adjective[0] is 'a' or 'e' or 'i' or 'o' or 'u' ? "an" : "a";
        var text = new StringBuilder();
        Add(choices.Pick([$"It was a {choices.Pick(s_weather).Item1} {choices.Pick(s_days).Item1}.", $"One {choices.Pick(s_days).Item1} {a.Name} woke up early.", $"Once there was a child called {a.Name}."]));
        Add(choices.Pick([$"{a.Name} went to the {place}.", $"{a.Name} wanted to see the {place}.", $"{a.Name} walked to the {place} with {his} friend {b.Name}."]));
        Add(choices.Pick([$"There {he} found {article} {adjective} {thing}.", $"In the {place} {he} saw {article} {adjective} {thing}.", $"{Upper(he)} had lost {article} {adjective} {thing} there the day before."]));
        Add(choices.Pick([$"\"Whose {thing} is this?\" {he} asked {b.Name}.", $"{Upper(he)} showed the {thing} to {b.Name}.", $"{b.Name} came and looked at the {thing}."]));
        if (choices.Chance(0.6))
            Add(choices.Pick([$"{b.Name} was glad, because the {thing} was {other switch { "she" => "hers", _ => "his" }}.", $"{b.Name} said that {other} had never seen such {article} {adjective} {thing}.", $"But the {thing} was too high for {him}, so {a.Name} helped {him}."]));
        if (choices.Chance(0.6))
            Add(choices.Pick([$"They played with the {thing} until evening.", $"Then it began to rain and they ran home.", $"They shared some bread and talked about the {place}."]));
        Add(choices.Pick([$"At night {a.Name} told {his} mother about the {adjective} {thing}.", $"{a.Name} and {b.Name} stayed friends.", $"From then on {he} liked the {place} best of all.", $"{Upper(he)} put the {thing} under {his} bed and slept well."]));
        return text.ToString();

        void Add(string sentence) => text.Append(text.Length > 0 ? " " : "").Append(sentence);
    }

    private static string ChineseStory(Choices choices, Actor a, Actor b, string place, string thing, string adjective)
    {
        string he = a.IsFemale ? "她" : "他", other = b.IsFemale ? "她" : "他";
        var text = new StringBuilder();
        text.Append(choices.Pick([$"{choices.Pick(s_days).Item2}，天气{choices.Pick(s_weather).Item2}。", $"{choices.Pick(s_days).Item2}早上，{a.Chinese}起得很早。", $"从前有一个孩子叫{a.Chinese}。"]));
        text.Append(choices.Pick([$"{a.Chinese}去了{place}。", $"{a.Chinese}想去{place}看看。", $"{a.Chinese}和朋友{b.Chinese}一起去{place}。"]));
        text.Append(choices.Pick([$"在那里，{he}找到了一个{adjective}{thing}。", $"{he}看见了一个{adjective}{thing}。", $"{he}昨天在那里丢了一个{adjective}{thing}。"]));
        text.Append(choices.Pick([$"“这是谁的{thing}？”{he}问{b.Chinese}。", $"{he}把{thing}给{b.Chinese}看。", $"{b.Chinese}走过来看这个{thing}。"]));
        if (choices.Chance(0.6))
            text.Append(choices.Pick([$"{b.Chinese}很高兴，因为{thing}是{other}的。", $"{b.Chinese}说{other}从来没见过这样的{thing}。", $"{a.Chinese}帮助了{other}。"]));
        if (choices.Chance(0.6))
            text.Append(choices.Pick(["他们一直玩到晚上。", "后来下雨了，他们跑回家。", "他们一起吃面包，说了很多话。"]));
        text.Append(choices.Pick([$"晚上，{a.Chinese}把这件事告诉了妈妈。", $"{a.Chinese}和{b.Chinese}一直是好朋友。", $"从那以后，{he}最喜欢{place}。"]));
        return text.ToString();
    }

    private static string Dialogue(Choices choices, string a, string b, string place, string thing, string adjective)
    {
        var lines = new List<string>
        {
            $"{a}: {choices.Pick(["Hello", "Good morning", "Hi"])}, {b}! {choices.Pick(["Where are you going?", "What are you doing?", "How are you?"])}",
            $"{b}: {choices.Pick([$"I am going to the {place}.", $"I am looking for my {adjective} {thing}.", $"I am well. I was at the {place}."])}",
            $"{a}: {choices.Pick([$"Did you see a {thing} at the {place}?", $"Is your {thing} {adjective}?", $"What do you want to do at the {place}?"])}",
            $"{b}: {choices.Pick([$"Yes, it is a {adjective} {thing}.", $"No, I only saw a {adjective} {thing}.", $"I want to find my {thing}."])}",
        };
        if (choices.Chance(0.6))
            lines.Add($"{a}: {choices.Pick(["I will help you.", "Then let us go together.", "I have to go home now."])}");
        if (choices.Chance(0.5))
            lines.Add($"{b}: {choices.Pick(["Thank you!", $"See you on {choices.Pick(s_days).Item1}.", "That is kind of you."])}");
        return string.Join('\n', lines);
    }

    private static string ChineseDialogue(Choices choices, string a, string b, string place, string thing, string adjective)
    {
        var lines = new List<string>
        {
            $"{a}：{choices.Pick(["你好", "早上好"])}，{b}！{choices.Pick(["你去哪里？", "你在做什么？", "你好吗？"])}",
            $"{b}：{choices.Pick([$"我去{place}。", $"我在找我的{adjective}{thing}。", $"我很好。我刚才在{place}。"])}",
            $"{a}：{choices.Pick([$"你在{place}看见{thing}了吗？", $"你的{thing}是{adjective}的吗？", $"你去{place}做什么？"])}",
            $"{b}：{choices.Pick([$"是的，是一个{adjective}{thing}。", $"没有，我只看见一个{adjective}{thing}。", $"我想找我的{thing}。"])}",
        };
        if (choices.Chance(0.6))
            lines.Add($"{a}：{choices.Pick(["我来帮你。", "我们一起去吧。", "我要回家了。"])}");
        if (choices.Chance(0.5))
            lines.Add($"{b}：{choices.Pick(["谢谢！", $"{choices.Pick(s_days).Item2}见。"])}");
        return string.Join('\n', lines);
    }

    private static string Upper(string word) => char.ToUpper(word[0], CultureInfo.InvariantCulture) + word[1..];
}
