# Completions for awskeep, written by awskeep setup. When awskeep is completed for the first
# time they come from awskeep itself, so that they fit its version.
_awskeep() {
    eval "$(command awskeep completions zsh 2>/dev/null)"
    (( ${+functions[_clap_dynamic_completer_awskeep]} )) && _clap_dynamic_completer_awskeep "$@"
}
compdef _awskeep awskeep
