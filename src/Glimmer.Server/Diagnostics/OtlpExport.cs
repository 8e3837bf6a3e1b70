using System.Collections;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Glimmer.Server.Diagnostics;

/// <summary>Sends traces and metrics to a collector by OTLP. The <c>OTEL_*</c> variables of the environment say the rest: protocol, headers, intervals, resource.</summary>
internal static class OtlpExport
{
    /// <summary>Adds the export to a server.</summary>
    /// <param name="builder">The server.</param>
    /// <param name="endpoint">The collector, such as <c>http://127.0.0.1:4318</c>. Unless <c>OTEL_EXPORTER_OTLP_PROTOCOL</c> says otherwise, port 4317 speaks gRPC and every other one HTTP with protobuf.</param>
    public static void AddTo(WebApplicationBuilder builder, Uri endpoint)
    {
        IConfigurationManager settings = builder.Configuration;
        foreach (DictionaryEntry variable in Environment.GetEnvironmentVariables())
        {
            if (variable is { Key: string name, Value: string value } && name.StartsWith("OTEL_", StringComparison.Ordinal))
                settings[name] = value;
        }

        settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint.ToString();
        settings["OTEL_EXPORTER_OTLP_PROTOCOL"] ??= endpoint.Port == 4317 ? "grpc" : "http/protobuf";
        string service = settings["OTEL_SERVICE_NAME"] ?? "glimmer";
        builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => resource.AddService(service))
            .WithTracing(traces => traces.AddSource(Telemetry.Name, "Microsoft.AspNetCore"))
            .WithMetrics(metrics => metrics.AddMeter(Telemetry.Name, "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel", "System.Runtime"))
            .UseOtlpExporter();
    }
}
