using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Glimmer.Server;

namespace Glimmer.Tests.Server;

/// <summary>HTTPS by certificates in PEM files.</summary>
public class HttpsTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_certificate_makes_the_server_speak_https(bool apart)
    {
        using var folder = new TemporaryFolder();
        X509Certificate2 certificate = Write(folder, apart);
        await using GlimmerServer server = await GlimmerServer.StartAsync(
            new ServerOptions { Port = 0, CertificateFile = folder["cert.pem"], CertificateKeyFile = apart ? folder["key.pem"] : null });
        Assert.Equal("https", server.Address.Scheme);
        using var handler = new SocketsHttpHandler
        {
            SslOptions = new SslClientAuthenticationOptions { RemoteCertificateValidationCallback = (_, seen, _, _) => seen?.GetCertHashString() == certificate.GetCertHashString() },
        };
        using var client = new HttpClient(handler) { BaseAddress = server.Address };
        using HttpResponseMessage health = await client.GetAsync("/health");
        Assert.Equal("not ready\n", await health.Content.ReadAsStringAsync());
        using var plain = new HttpClient { BaseAddress = new UriBuilder(server.Address) { Scheme = "http" }.Uri };
        await Assert.ThrowsAnyAsync<HttpRequestException>(() => plain.GetAsync("/health"));
    }

    [Fact]
    public async Task Files_without_a_certificate_or_a_key_are_named()
    {
        using var folder = new TemporaryFolder();
        Write(folder, apart: true);
        foreach (ServerOptions options in (ServerOptions[])
        [
            new() { Port = 0, CertificateFile = folder["none.pem"] }, new() { Port = 0, CertificateFile = folder["key.pem"] }, new() { Port = 0, CertificateFile = folder["cert.pem"] },
            new() { Port = 0, CertificateKeyFile = folder["key.pem"] },
        ])
        {
            ArgumentException error = await Assert.ThrowsAsync<ArgumentException>(() => GlimmerServer.StartAsync(options));
            Assert.Contains(options.CertificateFile ?? "CertificateFile", error.Message, StringComparison.Ordinal);
        }
    }

    private static X509Certificate2 Write(TemporaryFolder folder, bool apart)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        X509Certificate2 certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        string cert = certificate.ExportCertificatePem() + "\n", secret = key.ExportPkcs8PrivateKeyPem() + "\n";
        File.WriteAllText(folder["cert.pem"], apart ? cert : cert + secret);
        File.WriteAllText(folder["key.pem"], secret);
        return certificate;
    }
}
