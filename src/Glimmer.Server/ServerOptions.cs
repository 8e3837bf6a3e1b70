using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Glimmer.Server.Accounting;
using Glimmer.Server.Diagnostics;
using Glimmer.Server.Turns;

namespace Glimmer.Server;

/// <summary>What to do with images and other media in a request to a model that reads text.</summary>
public enum ImagePolicy
{
    /// <summary>Refuse the request; inside of tool results a placeholder takes their place.</summary>
    Reject,
    /// <summary>Put a placeholder in their place everywhere.</summary>
    Placeholder,
}

/// <summary>How a model is served.</summary>
public sealed record ServerOptions
{
    /// <summary>Names under which clients know the model; the first is reported.</summary>
    public IReadOnlyList<string> ModelNames { get; init; } = ["glimmer"];

    /// <summary>More names, each for a served one; <c>*</c> at the end stands for any ending: <c>claude-*</c>.</summary>
    public IReadOnlyDictionary<string, string> ModelAliases { get; init; } = new Dictionary<string, string>();

    /// <summary>Whether any other name is taken for the first served one.</summary>
    public bool AcceptAnyModel { get; init; }

    /// <summary>Keys of clients; empty for an open server.</summary>
    public IReadOnlyList<string> ApiKeys { get; init; } = [];

    /// <summary>Key of the control endpoints; null for the clients' keys or, without any, loopback only.</summary>
    public string? AdminApiKey { get; init; }

    /// <summary>Address to listen on.</summary>
    public string Host { get; init; } = "127.0.0.1";

    /// <summary>Port to listen on; 0 takes a free one.</summary>
    public int Port { get; init; } = 30000;

    /// <summary>PEM file of a certificate and its chain: the server speaks HTTPS. Null for HTTP.</summary>
    public string? CertificateFile { get; init; }

    /// <summary>PEM file of the certificate's private key; null when the key lies in <see cref="CertificateFile"/>.</summary>
    public string? CertificateKeyFile { get; init; }

    /// <summary>Most bytes of a request's body.</summary>
    public long MaxRequestBytes { get; init; } = 64L << 20;

    /// <summary>How long running requests may go on when the server stops.</summary>
    public TimeSpan ShutdownGrace { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Silence after which something is sent to keep a connection alive.</summary>
    public TimeSpan KeepAliveInterval { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>What to do with images.</summary>
    public ImagePolicy Images { get; init; } = ImagePolicy.Reject;

    /// <summary>Whether Anthropic requests without <c>thinking</c> think.</summary>
    public bool AnthropicThinking { get; init; }

    /// <summary>Origins whose pages may call this server; empty for none.</summary>
    public IReadOnlyList<string> AllowedOrigins { get; init; } = [];

    /// <summary>Folders that <c>/update_weights_from_disk</c> may load from; empty for any on a loopback server, and else for the folder around the model.</summary>
    public IReadOnlyList<string> WeightRoots { get; init; } = [];

    /// <summary>Most requests a minute of each key; null for no limit. Counting tokens is free.</summary>
    public int? RequestsPerMinute { get; init; }

    /// <summary>How much of each request the log says.</summary>
    public RequestLogging RequestLogging { get; init; }

    /// <summary>Collector that gets traces and metrics by OTLP, such as <c>http://127.0.0.1:4318</c>; null for none. For a <see cref="GlimmerServer"/>: an application of your own adds the source and meter <c>Glimmer.Server</c>.</summary>
    public Uri? OtlpEndpoint { get; init; }

    /// <summary>Whether <c>/metrics</c> needs a key.</summary>
    public bool MetricsNeedKey { get; init; }

    /// <summary>Port of <c>/metrics</c>, which then answers there only, and nothing but it and <c>/health</c> does; null for the port of everything else.</summary>
    public int? MetricsPort { get; init; }

    /// <summary>Where requests are charged: a SQLite file, or a connection string of PostgreSQL; null for nowhere.</summary>
    public string? UsageDatabase { get; init; }

    /// <summary>What models cost.</summary>
    public PriceTable Prices { get; init; } = PriceTable.Free;

    /// <summary>Whether the chat page and the page of usage are served.</summary>
    public bool HasPages { get; init; } = true;

    /// <summary>What is decided where a request does not.</summary>
    public TurnDefaults Turns { get; init; } = new();

    /// <summary>Throws when a value makes no sense or the server would be open to the network without a key.</summary>
    /// <exception cref="ArgumentException">Names the option and what to do.</exception>
    public void Check()
    {
        if (ModelNames.Count == 0 || ModelNames.Any(string.IsNullOrWhiteSpace))
            throw new ArgumentException("ModelNames must hold at least one name, none of them empty.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxRequestBytes);
        ArgumentOutOfRangeException.ThrowIfNegative(Port);
        if (MetricsPort is <= 0 or > 65535 || MetricsPort == Port)
            throw new ArgumentException($"MetricsPort is {MetricsPort}; expected a port of its own, 1 to 65535. Leave it out to have /metrics on the port of everything else.");
        ArgumentOutOfRangeException.ThrowIfLessThan(RequestsPerMinute ?? 1, 1, nameof(RequestsPerMinute));
        if (OtlpEndpoint is { } collector && (!collector.IsAbsoluteUri || collector.Scheme is not ("http" or "https")))
            throw new ArgumentException($"OtlpEndpoint is '{collector}'; expected an address such as http://127.0.0.1:4318.");
        if (CertificateKeyFile is not null && CertificateFile is null)
            throw new ArgumentException("CertificateKeyFile names a key, but CertificateFile names no certificate. Give both (--ssl-certfile, --ssl-keyfile).");
        if (ApiKeys.Count == 0 && !IsLoopback(Host))
            throw new ArgumentException($"The host {Host} is reachable from other machines, and no key is set. Set one (--api-key, or GLIMMER_API_KEY), or listen on 127.0.0.1.");
        if (AllowedOrigins.Contains("*") && ApiKeys.Count == 0)
            throw new ArgumentException("Any origin ('*') may call the server and no key is set: every page in a browser could use it. Name the origins or set a key.");
    }

    /// <summary>Reads the certificate; null for HTTP.</summary>
    /// <exception cref="ArgumentException">A file is missing or holds no certificate or key.</exception>
    internal X509Certificate2? Certificate()
    {
        if (CertificateFile is null)
            return null;
        try
        {
            using X509Certificate2 fromPem = X509Certificate2.CreateFromPemFile(CertificateFile, CertificateKeyFile);
            // Windows serves no certificate whose key exists in memory only.
            return X509CertificateLoader.LoadPkcs12(fromPem.Export(X509ContentType.Pkcs12), null);
        }
        catch (Exception error) when (error is CryptographicException or IOException or UnauthorizedAccessException)
        {
            throw new ArgumentException($"No certificate with its key can be read from '{CertificateFile}'{(CertificateKeyFile is null ? "" : $" and '{CertificateKeyFile}'")}: {error.Message} Expected PEM files.", error);
        }
    }

    /// <summary>Whether an address is this machine only.</summary>
    internal static bool IsLoopback(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase) || (System.Net.IPAddress.TryParse(host.Trim('[', ']'), out System.Net.IPAddress? address) && System.Net.IPAddress.IsLoopback(address));
}
