# Completions for awskeep, written by awskeep setup. They come from awskeep itself, so that they
# fit its version.

def __awskeep_complete [context: string, position: int] {
    let words = ($context | str substring 0..<$position | split row --regex '\s+')
    try {
        with-env { AWSKEEP_COMPLETE: "fish" } { ^awskeep -- ...$words }
        | lines
        | each {|line|
            let parts = ($line | split row "\t")
            { value: $parts.0, description: ($parts.1? | default "") }
        }
    } catch { [] }
}

extern awskeep [...words: string@__awskeep_complete]
