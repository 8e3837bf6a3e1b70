namespace Glimmer.Data.Synthesis.Miniature;

/// <summary>A thing of the invented world.</summary>
/// <param name="Kind">Person, town, animal or object.</param>
/// <param name="English">Its name.</param>
/// <param name="Chinese">Its name in Chinese.</param>
internal sealed record WorldEntity(string Kind, string English, string Chinese);

/// <summary>Something that the world says about every entity of a kind.</summary>
/// <param name="Kind">The kind.</param>
/// <param name="English">Its name.</param>
/// <param name="Chinese">Its name in Chinese.</param>
internal sealed record WorldAttribute(string Kind, string English, string Chinese);

/// <summary>A fact of the world.</summary>
/// <param name="Entity">What it is about.</param>
/// <param name="Attribute">What it says.</param>
/// <param name="English">The value.</param>
/// <param name="Chinese">The value in Chinese.</param>
/// <param name="Target">The entity that the value names, if any: the second hop of a chain.</param>
internal sealed record WorldFact(WorldEntity Entity, WorldAttribute Attribute, string English, string Chinese, WorldEntity? Target)
{
    /// <summary>Key of the fact in one wording.</summary>
    public ulong KeyIn(string wording) => CorpusKey.Of("world", Entity.English, Attribute.English, wording);
}

/// <summary>An invented small world: 200 people, towns, animals and objects with about 1,100 facts, the same for every seed.</summary>
internal sealed class MiniatureWorld
{
    private const ulong WorldSeed = 20250801;

    private static readonly string[] s_first = ["Bal", "Cor", "Dan", "Fel", "Gar", "Hol", "Jor", "Kel", "Lim", "Mar", "Nor", "Pel", "Ral", "Sol", "Tar", "Vel"];
    private static readonly string[] s_middle = ["a", "e", "i", "o", "u", "ari", "ene", "ilo"];
    private static readonly string[] s_last = ["din", "fer", "gus", "kan", "lo", "min", "na", "ric", "sa", "ton", "vi", "wen"];
    private static readonly string[] s_chinese = ["安", "白", "丹", "方", "高", "华", "江", "康", "林", "明", "宁", "平", "青", "石", "田", "文", "新", "阳", "云", "中"];

    private static readonly (string, string)[] s_colours = [("red", "红色"), ("blue", "蓝色"), ("green", "绿色"), ("yellow", "黄色"), ("black", "黑色"), ("white", "白色"), ("brown", "棕色"), ("grey", "灰色")];
    private static readonly (string, string)[] s_jobs = [("baker", "面包师"), ("teacher", "老师"), ("doctor", "医生"), ("farmer", "农民"), ("smith", "铁匠"), ("singer", "歌手"), ("sailor", "水手"), ("painter", "画家"), ("judge", "法官"), ("cook", "厨师")];
    private static readonly (string, string)[] s_rivers = [("Amber", "琥珀河"), ("Birch", "桦河"), ("Clear", "清河"), ("Deep", "深河"), ("Elm", "榆河"), ("Fern", "蕨河"), ("Gold", "金河"), ("Heron", "鹭河")];
    private static readonly (string, string)[] s_products = [("cheese", "奶酪"), ("glass", "玻璃"), ("salt", "盐"), ("silk", "丝绸"), ("tea", "茶"), ("wine", "酒"), ("wool", "羊毛"), ("paper", "纸")];
    private static readonly (string, string)[] s_regions = [("north", "北方"), ("south", "南方"), ("east", "东方"), ("west", "西方")];
    private static readonly (string, string)[] s_species = [("fox", "狐狸"), ("owl", "猫头鹰"), ("cat", "猫"), ("dog", "狗"), ("horse", "马"), ("goat", "山羊"), ("duck", "鸭子"), ("hare", "野兔")];
    private static readonly (string, string)[] s_food = [("corn", "玉米"), ("fish", "鱼"), ("grass", "草"), ("seeds", "种子"), ("bread", "面包"), ("berries", "浆果")];
    private static readonly (string, string)[] s_objects = [("lamp", "灯"), ("clock", "钟"), ("chair", "椅子"), ("drum", "鼓"), ("ring", "戒指"), ("boat", "船"), ("bell", "铃"), ("mirror", "镜子"), ("knife", "刀")];
    private static readonly (string, string)[] s_materials = [("wood", "木头"), ("iron", "铁"), ("silver", "银"), ("clay", "黏土"), ("stone", "石头"), ("copper", "铜")];

    private MiniatureWorld()
    {
        var choices = new Choices(WorldSeed, "world", 0, CorpusSplit.Train);
        var names = new HashSet<string>();
        WorldEntity[] people = Named(choices, names, "person", 60), towns = Named(choices, names, "town", 50), animals = Named(choices, names, "animal", 45), objects = Objects(choices, names, 45);
        Entities = [.. people, .. towns, .. animals, .. objects];
        var facts = new List<WorldFact>();
        foreach (WorldEntity person in people)
        {
            Linked(person, "home town", "家乡", choices.Pick(towns));
            Plain(person, "job", "工作", choices.Pick(s_jobs));
            Plain(person, "favourite colour", "最喜欢的颜色", choices.Pick(s_colours));
            Number(person, "age", "年龄", choices.Between(20, 79));
            Linked(person, "best friend", "最好的朋友", choices.Pick([.. people.Where(other => other != person)]));
        }

        foreach (WorldEntity town in towns)
        {
            Plain(town, "river", "河流", choices.Pick(s_rivers));
            Plain(town, "main product", "主要产品", choices.Pick(s_products));
            Plain(town, "region", "地区", choices.Pick(s_regions));
            Linked(town, "mayor", "市长", choices.Pick(people));
            Number(town, "number of houses", "房屋数量", choices.Between(10, 99) * 10);
            Number(town, "year of foundation", "建立年份", choices.Between(1100, 1899));
        }

        foreach (WorldEntity animal in animals)
        {
            Plain(animal, "species", "种类", choices.Pick(s_species));
            Linked(animal, "owner", "主人", choices.Pick(people));
            Plain(animal, "colour", "颜色", choices.Pick(s_colours));
            Plain(animal, "favourite food", "最喜欢的食物", choices.Pick(s_food));
            Number(animal, "age", "年龄", choices.Between(1, 15));
        }

        foreach (WorldEntity thing in objects)
        {
            Plain(thing, "material", "材料", choices.Pick(s_materials));
            Linked(thing, "maker", "制造者", choices.Pick(people));
            Linked(thing, "place", "所在地", choices.Pick(towns));
            Plain(thing, "colour", "颜色", choices.Pick(s_colours));
            Number(thing, "weight in grams", "克重", choices.Between(10, 99) * 10);
            Number(thing, "price", "价格", choices.Between(2, 99));
        }

        Facts = facts;
        Links = [.. facts.Where(fact => fact.Target is not null)];
        _byEntity = facts.ToLookup(fact => fact.Entity);

        void Plain(WorldEntity entity, string english, string chinese, (string English, string Chinese) value) =>
            facts.Add(new WorldFact(entity, new WorldAttribute(entity.Kind, english, chinese), value.English, value.Chinese, null));

        void Number(WorldEntity entity, string english, string chinese, int value) => Plain(entity, english, chinese, ($"{value}", $"{value}"));

        void Linked(WorldEntity entity, string english, string chinese, WorldEntity target) =>
            facts.Add(new WorldFact(entity, new WorldAttribute(entity.Kind, english, chinese), target.English, target.Chinese, target));
    }

    private readonly ILookup<WorldEntity, WorldFact> _byEntity;

    /// <summary>The world.</summary>
    public static MiniatureWorld Instance { get; } = new();

    /// <summary>Everything in it.</summary>
    public IReadOnlyList<WorldEntity> Entities { get; }

    /// <summary>All facts.</summary>
    public IReadOnlyList<WorldFact> Facts { get; }

    /// <summary>Facts whose value is an entity.</summary>
    public IReadOnlyList<WorldFact> Links { get; }

    /// <summary>The facts about an entity.</summary>
    public IReadOnlyList<WorldFact> About(WorldEntity entity) => [.. _byEntity[entity]];

    private static WorldEntity[] Named(Choices choices, HashSet<string> names, string kind, int count)
    {
        var entities = new WorldEntity[count];
        for (int i = 0; i < count; i++)
            entities[i] = new WorldEntity(kind, Name(names, () => choices.Pick(s_first) + choices.Pick(s_middle) + choices.Pick(s_last)), Name(names, () => choices.Pick(s_chinese) + choices.Pick(s_chinese)));
        return entities;
    }

    private static WorldEntity[] Objects(Choices choices, HashSet<string> names, int count)
    {
        var entities = new WorldEntity[count];
        for (int i = 0; i < count; i++)
        {
            (string english, string chinese) = s_objects[i % s_objects.Length];
            (string maker, string first) = (Name(names, () => choices.Pick(s_first) + choices.Pick(s_middle)), Name(names, () => choices.Pick(s_chinese) + choices.Pick(s_chinese)));
            entities[i] = new WorldEntity("object", $"{maker} {english}", first + chinese);
        }

        return entities;
    }

    private static string Name(HashSet<string> names, Func<string> draw)
    {
        while (true)
        {
            string name = draw();
            if (names.Add(name))
                return name;
        }
    }
}
