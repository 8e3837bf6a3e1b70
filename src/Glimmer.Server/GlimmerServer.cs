using System.Security.Cryptography.X509Certificates;
using Glimmer.Server.Diagnostics;
using Glimmer.Server.Turns;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Glimmer.Server;

/// <summary>A server of its own: listens first, takes requests when it is given a model, and lets running ones finish when it stops.</summary>
public sealed class GlimmerServer : IAsyncDisposable
{
    // For connections that are still open when requests are answered, or are to be cut.
    private static readonly TimeSpan s_close = TimeSpan.FromSeconds(1);

    private readonly WebApplication _app;

    private readonly int? _metricsPort;

    private GlimmerServer(WebApplication app, int? metricsPort) => (_app, _metricsPort) = (app, metricsPort);

    /// <summary>The address it listens on, such as <c>http://127.0.0.1:30000</c>.</summary>
    public Uri Address => new(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First(address => new Uri(address).Port != _metricsPort));

    /// <summary>Starts to listen. Until <see cref="Use"/> every request but health answers 503.</summary>
    /// <param name="options">How the model is served.</param>
    /// <param name="logging">Where logs go; null for nowhere.</param>
    /// <param name="cancellationToken">Ends the start.</param>
    /// <exception cref="ArgumentException">An option makes no sense.</exception>
    /// <exception cref="IOException">The port is taken.</exception>
    public static async Task<GlimmerServer> StartAsync(ServerOptions options, Action<ILoggingBuilder>? logging = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Check();
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = "glimmer" });
        string host = options.Host.Contains(':', StringComparison.Ordinal) && !options.Host.StartsWith('[') ? $"[{options.Host}]" : options.Host;
        X509Certificate2? certificate = options.Certificate();
        string scheme = certificate is null ? "http" : "https";
        builder.WebHost.UseKestrelCore().UseUrls([$"{scheme}://{host}:{options.Port}", .. options.MetricsPort is { } metrics ? [$"{scheme}://{host}:{metrics}"] : (string[])[]]);
        if (certificate is not null)
            builder.WebHost.UseKestrelHttpsConfiguration();
        builder.Services.Configure<KestrelServerOptions>(kestrel =>
        {
            kestrel.AddServerHeader = false;
            if (certificate is not null)
                kestrel.ConfigureHttpsDefaults(https => https.ServerCertificate = certificate);
            kestrel.Limits.MaxRequestBodySize = options.MaxRequestBytes;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(30);
            kestrel.Limits.MinRequestBodyDataRate = new MinDataRate(240, TimeSpan.FromSeconds(5));
            // EventStream has its own patience with clients that do not read.
            kestrel.Limits.MinResponseDataRate = null;
        });
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = s_close);
        builder.Services.AddGlimmer(options);
        logging?.Invoke(builder.Logging);
        // The host's own lines have the whole address of a request, keys included.
        builder.Logging.AddFilter("Microsoft.AspNetCore.Hosting.Diagnostics", LogLevel.Warning);
        if (options.OtlpEndpoint is { } collector)
            OtlpExport.AddTo(builder, collector);
        WebApplication app = builder.Build();
        app.MapGlimmer();
        try
        {
            await app.StartAsync(cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await app.DisposeAsync().ConfigureAwait(false);
            throw;
        }

        return new GlimmerServer(app, options.MetricsPort);
    }

    /// <summary>Takes requests for a model from now on.</summary>
    /// <param name="model">The model; not owned.</param>
    public void Use(ServedModel model) => _app.UseModel(model);

    /// <summary>Waits until the server is asked to stop.</summary>
    public async Task WaitAsync(CancellationToken cancellationToken)
    {
        var stopped = new TaskCompletionSource();
        await using CancellationTokenRegistration registration = cancellationToken.UnsafeRegister(_ => stopped.TrySetResult(), null);
        await using CancellationTokenRegistration lifetime = _app.Lifetime.ApplicationStopping.UnsafeRegister(_ => stopped.TrySetResult(), null);
        await stopped.Task.ConfigureAwait(false);
    }

    /// <summary>Answers 503 to new requests, lets running ones finish within <see cref="ServerOptions.ShutdownGrace"/>, and stops.</summary>
    public async ValueTask DisposeAsync()
    {
        ServerState state = _app.Services.GetRequiredService<ServerState>();
        try
        {
            await state.StopAsync().WaitAsync(state.Options.ShutdownGrace, state.Time).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            // The grace is over: what still runs is cut.
        }

        await _app.StopAsync().ConfigureAwait(false);
        await _app.DisposeAsync().ConfigureAwait(false);
    }
}
