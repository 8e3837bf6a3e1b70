namespace Glimmer.Cli;

/// <summary>The command line is wrong in a way that only shows when it runs, for example no prompt and nothing piped.</summary>
internal sealed class UsageException(string message) : Exception(message);
