"""What makes a shell ask us while somebody types: a script for each shell.

A program of another name than `queuectl` is never called: somebody's function that is completed alike
might do what it is for.
"""

from __future__ import annotations

# The line is this command up to the cursor; bash's words of it would be cut at each `=` and `:`. macOS has
# bash 3.2, without compopt and nosort.
BASH = """\
_queuectl_completion() {
    local line value program=queuectl IFS=$'\\n'
    COMPREPLY=()
    case $1 in
        '~'/*/queuectl) program=$HOME/${1#??} ;;
        */queuectl) program=$1 ;;
    esac
    while read -r line; do
        value=${line#*,}
        case ${line%%,*} in
            plain)
                [[ $value != *= ]] || compopt -o nospace 2>/dev/null
                COMPREPLY+=("$value") ;;
            dir) compopt -o dirnames 2>/dev/null ;;
            file) compopt -o default 2>/dev/null ;;
        esac
    done <<< "$(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_CWORD="$2" \\
        _QUEUECTL_COMPLETE=bash_complete "$program" 2>/dev/null </dev/null)"
}
complete -o nosort -F _queuectl_completion queuectl 2>/dev/null || complete -F _queuectl_completion queuectl
"""
# The first line is what tells zsh that a file in $fpath is one of these, the second loads its completion
# where nobody has. What matches has been chosen (-U); of a path `--spool=` is no part (compset).
ZSH = """\
#compdef queuectl
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i; }
_queuectl_completion() {
    local kind text tip program=${(Q)words[1]} found=1
    local -a answer plain described open
    [[ $program != '~'/* ]] || program=$HOME/${program#??}
    [[ ${program:t} == queuectl ]] || program=queuectl
    answer=("${(@f)$(env COMP_WORDS="${(j: :)words}" COMP_CWORD=$((CURRENT - 1)) \\
        _QUEUECTL_COMPLETE=zsh_complete $program 2>/dev/null </dev/null)}")
    for kind text tip in "${answer[@]}"; do
        case $kind in
            dir|file)
                [[ $PREFIX != --*=* ]] || compset -P 1 '*='
                _path_files ${${kind:#file}:+-/} && found=0 ;;
            plain)
                if [[ $text == *= ]]; then
                    open+=("$text")
                elif [[ -n $tip ]]; then
                    described+=("${${text//\\\\/\\\\\\\\}//:/\\\\:}:$tip")
                else
                    plain+=("$text")
                fi ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described -U && found=0
    (( $#plain )) && compadd -U -V unsorted -a plain && found=0
    (( $#open )) && compadd -U -S '' -V unsorted -a open && found=0
    return found
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _queuectl_completion "$@"
else
    compdef _queuectl_completion queuectl
fi
"""
FISH = """\
function __queuectl_complete
    set -l words (commandline -opc)
    while string match -qr '^\\w+=' -- $words[1]
        set -e words[1]
    end
    set -l program queuectl
    string match -q '*/queuectl' -- $words[1]; and set program (string replace -r '^~/' $HOME/ -- $words[1])
    type -q $program; or return
    set -l begun (commandline -ct)
    set -lx COMP_WORDS (string join \\n -- $words | string collect)
    set -lx COMP_CWORD $begun
    set -lx _QUEUECTL_COMPLETE fish_complete
    set -l option (string match -r -- '^--[^=]*=' $begun)
    set -l rest (string replace -r -- '^--[^=]*=' '' $begun)
    for line in ($program 2>/dev/null </dev/null)
        set -l parts (string split --max 1 , -- $line)
        switch $parts[1]
            case plain
                echo $parts[2]
            case dir
                printf '%s\\n' "$option"(__fish_complete_directories $rest)
            case file
                printf '%s\\n' "$option"(__fish_complete_path $rest)
        end
    end
end
complete --no-files --command queuectl --arguments '(__queuectl_complete)'
"""
# After Register-ArgumentCompleter in Microsoft's reference. What is printed is JSON in ASCII: which code page
# a console has does not matter. A CompletionResult with an empty text or tip is an error.
POWERSHELL = """\
Register-ArgumentCompleter -Native -CommandName queuectl -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = foreach ($element in $commandAst.CommandElements) {
        if ($element.Extent.EndOffset -ge $cursorPosition) { break }
        $text = $element -is [System.Management.Automation.Language.StringConstantExpressionAst]
        if ($text) { $element.Value } else { $element.Extent.Text }
    }
    $before = $env:COMP_WORDS, $env:COMP_CWORD, $env:_QUEUECTL_COMPLETE
    $code = $global:LASTEXITCODE
    try {
        $env:COMP_WORDS = $words -join "`n"
        $env:COMP_CWORD = $wordToComplete
        $env:_QUEUECTL_COMPLETE = 'powershell_complete'
        $program = $commandAst.GetCommandName()
        $printed = & $program 2>$null | Out-String
        if ($printed.Trim()) {
            foreach ($one in ($printed | ConvertFrom-Json)) {
                [System.Management.Automation.CompletionResult]::new(
                    $one.text, $one.name, 'ParameterValue', $one.tip)
            }
        }
    } catch { } finally {
        $env:COMP_WORDS, $env:COMP_CWORD, $env:_QUEUECTL_COMPLETE = $before
        $global:LASTEXITCODE = $code
    }
}
"""
