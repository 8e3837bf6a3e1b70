using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Glimmer.Benchmarks.Comparison;

/// <summary>One line of the table.</summary>
/// <param name="Work">What was measured.</param>
/// <param name="Unit">Unit of both figures.</param>
/// <param name="Ours">Our median.</param>
/// <param name="Peer">The peer's median, or null in a row without a peer.</param>
/// <param name="Ratio">What the bar is about.</param>
/// <param name="Spread">Least and greatest ratio of the rounds.</param>
/// <param name="Bar">The bar.</param>
/// <param name="AtMost">Whether the ratio must not be above the bar instead of not below it.</param>
internal sealed record ComparisonRow(string Work, string Unit, double Ours, double? Peer, double Ratio, (double Least, double Most) Spread, double Bar, bool AtMost = false)
{
    /// <summary>Our share of plain read bandwidth.</summary>
    public double? ReadShare { get; init; }

    /// <summary>The peer's share.</summary>
    public double? PeerReadShare { get; init; }

    /// <summary>Our figure with fp32 activations, from the same rounds.</summary>
    public double? OursF32 { get; init; }

    /// <summary>Anything else worth saying.</summary>
    public string Note { get; init; } = "";

    /// <summary>
    /// Whether the bar is met. Decode that reads at 90 % of the plain read counts as met where the peer itself is above 60 %: no kernel could reach the ratio there.
    /// </summary>
    public bool IsMet => AtMost ? Ratio <= Bar : Ratio >= Bar || (Peer is not null && PeerReadShare > 0.6 && ReadShare >= 0.9);

    /// <summary>The row as a line of JSON.</summary>
    public string ToJson()
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            writer.WriteStartObject();
            writer.WriteString("work", Work);
            writer.WriteString("unit", Unit);
            Number(writer, "ours", Ours);
            Number(writer, "peer", Peer);
            Number(writer, "ratio", Ratio);
            writer.WriteStartArray("spread");
            writer.WriteNumberValue(Rounded(Spread.Least));
            writer.WriteNumberValue(Rounded(Spread.Most));
            writer.WriteEndArray();
            Number(writer, "bar", Bar);
            if (AtMost)
                writer.WriteBoolean("at_most", true);
            Number(writer, "read_share", ReadShare);
            if (PeerReadShare is not null)
                Number(writer, "peer_read_share", PeerReadShare);
            if (OursF32 is not null)
                Number(writer, "ours_f32", OursF32);
            writer.WriteBoolean("met", IsMet);
            if (Note.Length > 0)
                writer.WriteString("note", Note);
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private static void Number(Utf8JsonWriter writer, string name, double? value)
    {
        if (value is { } number && double.IsFinite(number))
            writer.WriteNumber(name, Rounded(number));
        else
            writer.WriteNull(name);
    }

    private static double Rounded(double value) => double.IsFinite(value) ? double.Parse(value.ToString("G4", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture) : 0;
}
