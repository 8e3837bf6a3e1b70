using Glimmer.Server.Diagnostics;
using Glimmer.Server.Http;
using Glimmer.Server.Turns;
using Glimmer.Server.Ui;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;

namespace Glimmer.Server;

/// <summary>Hosts a model in any ASP.NET Core application: <see cref="AddGlimmer"/> among the services, <see cref="MapGlimmer"/> among the routes.</summary>
public static class GlimmerEndpoints
{
    /// <summary>Adds a model's APIs to the services.</summary>
    /// <param name="services">The services.</param>
    /// <param name="options">How the model is served; null for the defaults.</param>
    /// <returns>The services.</returns>
    public static IServiceCollection AddGlimmer(this IServiceCollection services, ServerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        options ??= new ServerOptions();
        options.Check();
        services.AddRouting();
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(provider => new ServerState(options, provider.GetRequiredService<TimeProvider>()));
        return services;
    }

    /// <summary>Adds the routes of all APIs. They answer 503 until a model is given by <see cref="UseModel"/>.</summary>
    /// <param name="app">The application.</param>
    /// <returns>The application.</returns>
    public static IApplicationBuilder MapGlimmer(this IApplicationBuilder app)
    {
        ArgumentNullException.ThrowIfNull(app);
        ServerState state = app.ApplicationServices.GetRequiredService<ServerState>();
        IReadOnlyList<IDialect> dialects = Dialects.Create(state);
        var boundary = new ErrorBoundary(dialects, app.ApplicationServices.GetRequiredService<ILoggerFactory>().CreateLogger("Glimmer.Server"));
        var access = new AccessCheck(state.Options);
        app.Use(next => async context =>
        {
            if (CrossOrigin.Handle(context, state.Options.AllowedOrigins))
                return;
            await boundary.InvokeAsync(context, next).ConfigureAwait(false);
            state.Http.Add(context, boundary.DialectOf(context.Request.Path).Name);
        });
        if (state.Options.MetricsPort is { } port)
            app.Use(next => context => IsOnRightPort(context, port) ? next(context) : throw new ApiException(ApiErrorKind.NotFound, $"There is no {context.Request.Path} on this port."));
        app.UseRouting();
        app.Use(next => async context =>
        {
            Access? needed = context.GetEndpoint()?.Metadata.GetMetadata<Access>();
            if (needed is null || needed == Access.Open)
            {
                await next(context).ConfigureAwait(false);
                return;
            }

            access.Require(context, needed == Access.Admin);
            if (needed == Access.Client && !HttpMethods.IsGet(context.Request.Method) && !context.Request.Path.Value!.EndsWith(":countTokens", StringComparison.Ordinal))
                state.Limit?.Take(context);
            using ServerState.Visit visit = state.Enter();
            await next(context).ConfigureAwait(false);
        });
        app.UseEndpoints(routes =>
        {
            foreach (IDialect dialect in dialects)
                dialect.Map(routes);
            if (state.Options.HasPages)
                new UiPages(state).Map(routes);
        });
        return app;
    }

    // Health is on both.
    private static bool IsOnRightPort(HttpContext context, int metricsPort) =>
        context.Request.Path == "/health" || context.Connection.LocalPort == metricsPort == (context.Request.Path == "/metrics");

    /// <summary>Gives the server its model; requests are taken from now on.</summary>
    /// <param name="app">The application.</param>
    /// <param name="model">The model.</param>
    public static void UseModel(this IApplicationBuilder app, ServedModel model)
    {
        ArgumentNullException.ThrowIfNull(app);
        ServerState state = app.ApplicationServices.GetRequiredService<ServerState>();
        ILogger log = app.ApplicationServices.GetRequiredService<ILoggerFactory>().CreateLogger("Glimmer.Server.Requests");
        state.Use(new TurnRunner(model, state.Options.Turns, state.Time)
        {
            Usage = state.Usage,
            Telemetry = state.Telemetry,
            Log = state.Options.RequestLogging == RequestLogging.Off ? null : new TurnLog(log, state.Options.RequestLogging),
        });
    }
}
