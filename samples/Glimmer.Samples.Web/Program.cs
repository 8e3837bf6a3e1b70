using Glimmer.Inference;
using Glimmer.Server;
using Glimmer.Server.Turns;

WebApplicationBuilder builder = WebApplication.CreateBuilder(args);
builder.Services.AddGlimmer(new ServerOptions { ModelNames = ["glimmer"] });
WebApplication app = builder.Build();
app.MapGlimmer();
using LoadedModel model = LoadedModel.Open(EmbeddedModel.Find(), threads: 2);
using var engine = new Engine(model);
app.UseModel(new ServedModel(model, engine));
app.Run("http://127.0.0.1:30000");
