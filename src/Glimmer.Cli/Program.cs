using System.CommandLine;

return new RootCommand("Glimmer: the GLM stack for .NET.").Parse(args).Invoke();
