# shellcheck shell=bash
# Completions for awskeep, written by awskeep setup. bash reads this when awskeep is completed
# for the first time; they come from awskeep itself, so that they fit its version.
eval "$(command awskeep completions bash 2>/dev/null)"
