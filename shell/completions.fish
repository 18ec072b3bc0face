# Completions for awskeep, written by awskeep setup. fish reads this when awskeep is completed
# for the first time; they come from awskeep itself, so that they fit its version.
command -q awskeep; and command awskeep completions fish 2>/dev/null | source
