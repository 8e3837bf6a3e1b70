# An image of a published program, which serves on all addresses and so needs a key:
#   dotnet publish -c Release -r linux-x64 --self-contained src/Glimmer.Cli -o artifacts/app
#   docker build -t glimmer . && docker run -p 30000:30000 -e GLIMMER_API_KEY=... glimmer
# Another model: -v /my/models:/models ... glimmer /models/x.gguf
FROM debian:12-slim
COPY artifacts/app /app
RUN useradd --create-home glimmer
USER glimmer
EXPOSE 30000
ENTRYPOINT ["/app/glimmer", "serve", "--host", "0.0.0.0"]
