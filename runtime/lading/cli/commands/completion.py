"""`lading completion`, and the hidden command that the scripts ask."""

from __future__ import annotations

from lading.cli.command import Command, Context
from lading.cli.flags import Options

BASH = """# bash completion for lading:  source <(lading completion bash)
_lading() {
    local cur="${COMP_WORDS[COMP_CWORD]}" line
    COMPREPLY=()
    while IFS= read -r line; do
        COMPREPLY+=("$line")
    done < <(lading __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} -gt 0 && $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${cur%"${cur##*:}"}"}")
    fi
}
complete -o default -F _lading lading
"""

ZSH = """#compdef lading
# zsh completion for lading:  lading completion zsh > "${fpath[1]}/_lading"
_lading() {
    local -a found
    found=("${(@f)$(lading __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if (( ${#found} )) && [[ -n ${found[1]} ]]; then
        compadd -a found
    else
        _files
    fi
}
if [ "$funcstack[1] " = "_lading " ]; then
    _lading "$@"
else
    compdef _lading lading
fi
"""

FISH = """# fish completion for lading:  lading completion fish | source
function __lading_complete
    set -l words (commandline -opc) (commandline -ct)
    lading __complete $words[2..-1] 2>/dev/null
end
complete -c lading -f -a '(__lading_complete)'
"""

SCRIPTS = {"bash": BASH, "fish": FISH, "zsh": ZSH}
HOW = {
    "bash": "source <(lading completion bash)",
    "fish": "lading completion fish | source",
    "zsh": 'lading completion zsh > "${fpath[1]}/_lading"',
}


def _command(shell: str) -> Command:
    def run(context: Context, _options: Options) -> int:
        context.out(SCRIPTS[shell])
        return 0

    return Command(
        f"completion {shell}",
        "",
        f"Write the completion script for {shell}",
        run,
        about="Commands, options and the names of containers, images, networks and volumes are "
        f"completed. To use it:  {HOW[shell]}",
    )


def _complete(context: Context, options: Options) -> int:
    from lading.cli.completing import complete

    context.out("".join(f"{word}\n" for word in complete(context, options.args)))
    return 0


COMMANDS = {
    **{f"completion {shell}": _command(shell) for shell in SCRIPTS},
    "__complete": Command(
        "__complete",
        "WORD...",
        "Propose what could follow",
        _complete,
        arguments=(0, None),
        interspersed=False,
    ),
}
