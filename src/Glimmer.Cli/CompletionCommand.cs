using System.CommandLine;

namespace Glimmer.Cli;

/// <summary><c>glimmer completion</c>: prints the script that teaches a shell the commands and options. The scripts ask <c>glimmer [suggest:POSITION] LINE</c>.</summary>
internal sealed class CompletionCommand : Command
{
    private const string Bash = """
        # glimmer completion for bash. In ~/.bashrc: source <(glimmer completion bash)
        _glimmer() {
            local IFS=$'\n' line="${COMP_LINE:0:COMP_POINT}"
            COMPREPLY=($(compgen -W "$(glimmer "[suggest:${#line}]" "$line" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
        }
        complete -o default -F _glimmer glimmer
        """;

    private const string Zsh = """
        #compdef glimmer
        # glimmer completion for zsh. In ~/.zshrc, behind compinit: source <(glimmer completion zsh)
        _glimmer() {
            local line="${(j: :)words[1,CURRENT]}"
            local -a found=("${(@f)$(glimmer "[suggest:${#line}]" "$line" 2>/dev/null)}")
            found=(${found:#})
            if (( ${#found} )); then
                compadd -- $found
            else
                _files
            fi
        }
        compdef _glimmer glimmer
        """;

    private const string Fish = """
        # glimmer completion for fish: glimmer completion fish > ~/.config/fish/completions/glimmer.fish
        function __glimmer_complete
            set -l line (commandline -cp)
            glimmer "[suggest:"(string length -- "$line")"]" "$line" 2>/dev/null
        end
        complete -c glimmer -a '(__glimmer_complete)'
        """;

    private const string PowerShell = """
        # glimmer completion for PowerShell. In $PROFILE: glimmer completion pwsh | Out-String | Invoke-Expression
        Register-ArgumentCompleter -Native -CommandName glimmer -ScriptBlock {
            param($wordToComplete, $commandAst, $cursorPosition)
            $line = $commandAst.ToString().PadRight($cursorPosition)
            glimmer "[suggest:$cursorPosition]" "$line" 2>$null | Where-Object { $_ -like "$wordToComplete*" } | ForEach-Object {
                [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
            }
        }
        """;

    private readonly Argument<string> _shell = new("shell") { Description = "bash, zsh, fish or pwsh." };

    public CompletionCommand(Terminal terminal)
        : base("completion", "Print the completion script of a shell; it says where it belongs.")
    {
        _shell.AcceptOnlyFromAmong("bash", "zsh", "fish", "pwsh");
        Add(_shell);
        SetAction(parsed => terminal.Output.WriteLine(parsed.GetValue(_shell) switch
        {
            "bash" => Bash,
            "zsh" => Zsh,
            "fish" => Fish,
            _ => PowerShell,
        }));
    }
}
