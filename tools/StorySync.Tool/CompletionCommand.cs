using System.CommandLine;
using StorySync.Samples;

namespace StorySync.Tool;

/// <summary>Prints what makes a shell complete the program's commands and options.</summary>
internal static class CompletionCommand
{
    private const string Bash = """
        _storysync() {
            local IFS=$'\n'
            COMPREPLY=($(compgen -W "$(storysync "[suggest:${COMP_POINT}]" "${COMP_LINE}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
        }
        complete -o default -F _storysync storysync
        """;

    private const string Zsh = """
        _storysync() {
            local -a found
            found=("${(@f)$(storysync "[suggest:${CURSOR}]" "${BUFFER}" 2>/dev/null)}")
            compadd -- $found
            _files
        }
        compdef _storysync storysync
        """;

    private const string PowerShell = """
        Register-ArgumentCompleter -Native -CommandName storysync -ScriptBlock {
            param($word, $line, $cursor)
            storysync "[suggest:$cursor]" "$line" | ForEach-Object {
                [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
            }
        }
        """;

    public static Command Create()
    {
        var shell = new Argument<string>("shell") { Description = "bash, zsh or pwsh." };
        var command = new Command("completion", "Print the lines that make a shell complete this program's commands.") { shell };
        command.Does(null, "nothing was printed.", (parsed, results, _, _) =>
        {
            var script = parsed.GetValue(shell) switch
            {
                "bash" => Bash,
                "zsh" => Zsh,
                "pwsh" => PowerShell,
                var other => throw new UserErrorException($"The shell is '{other}'; it must be bash, zsh or pwsh."),
            };
            results.Output.WriteLine(script);
            return Task.CompletedTask;
        });
        return command;
    }
}
