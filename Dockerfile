# An image of a published program, which serves on all addresses and so needs a key:
#   dotnet publish -c Release -r linux-x64 --self-contained src/Glimmer.Cli -o artifacts/app
#   docker build -t glimmer . && docker run -p 30000:30000 -e GLIMMER_API_KEY=... glimmer
# Another model: -v /my/models:/models ... glimmer /models/x.gguf
FROM debian:12-slim
# The runtime takes its random numbers and hashes from OpenSSL, which the slim image lacks.
RUN apt-get update && apt-get install -y --no-install-recommends libssl3 && rm -rf /var/lib/apt/lists/* && useradd --create-home glimmer
COPY artifacts/app /app
USER glimmer
EXPOSE 30000
ENTRYPOINT ["/app/glimmer", "serve", "--host", "0.0.0.0"]
