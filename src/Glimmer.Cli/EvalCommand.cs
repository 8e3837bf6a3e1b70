using System.CommandLine;

namespace Glimmer.Cli;

/// <summary><c>glimmer eval</c>: benchmarks.</summary>
internal sealed class EvalCommand : Command
{
    public EvalCommand(Terminal terminal)
        : base("eval", "Run a benchmark on a model and grade its answers.")
    {
        Add(new EvalTaskCommand(terminal, "bfcl", "Function calls: a single-turn category of the Berkeley Function Calling Leaderboard, graded without running them.", Environments.Tasks.BfclTask.Open));
        Add(new EvalTaskCommand(terminal, "ifeval", "Instructions that a program can check.", Environments.Tasks.IfEvalTask.Open));
        Add(new EvalTaskCommand(terminal, "questions", "Questions with one exact answer, one result a kind of question.", path => Environments.Tasks.QuestionsTask.Open(path, asText: false)));
        Add(new EvalTaskCommand(terminal, "questions-as-text", "The same for models that have seen no conversations: texts to go on with.", path => Environments.Tasks.QuestionsTask.Open(path, asText: true)));
        Add(new EvalTaskCommand(terminal, "gsm8k", "Grade-school maths in words.", Environments.Tasks.Gsm8kTask.Open));
        Add(new EvalBitsCommand(terminal));
        Add(new EvalCardCommand(terminal));
    }
}
