# awskeep's hook for nushell. README.md beside this file says what it promises.
#
# At each prompt of an interactive shell it reads one number, the time before which there is
# nothing to do, and compares it with the clock. Not due: that is all, and no process is started.

# The file with the number, in awskeep's state folder.
def __awskeep_next_due []: nothing -> path {
    let home = ($env.HOME? | default $nu.home-dir)
    let folder = match $nu.os-info.name {
        "macos" => ($home | path join "Library" "Application Support")
        "windows" => ($env.LOCALAPPDATA? | default ($home | path join "AppData" "Local"))
        _ => {
            let named = ($env.XDG_STATE_HOME? | default "")
            if ($named | str starts-with "/") { $named } else { $home | path join ".local" "state" }
        }
    }
    $folder | path join "awskeep" "next-due"
}

# The number; -1 if there is none.
def __awskeep_read []: nothing -> int {
    let file = (__awskeep_next_due)
    if ($file | path expand | path type) != "file" { return (-1) }
    let text = (try { open --raw $file | into string | str trim } catch { "" })
    if $text =~ '^[0-9]{1,12}$' { $text | into int } else { -1 }
}

# Calls awskeep when the number is over. If the same number stands there afterwards, perhaps
# because nobody can write another one, it is called again ten minutes later.
def --env __awskeep_prompt [] {
    if ($env.AWSKEEP_HOOK? | default "") == "off" { return }
    let due = (__awskeep_read)
    if $due < 0 { return }
    let now = ((date now | into int) // 1_000_000_000)
    # awskeep never sleeps longer than a week: what is further ahead, a wrong clock has written.
    if $due > $now and $due <= $now + 691200 { return }
    # A record is not handed to programs, as a text in the environment would be.
    let called = ($env.__awskeep_called? | default { for: -1, at: 0 })
    if $due == $called.for and $now >= $called.at and $now < $called.at + 600 { return }
    $env.__awskeep_called = { for: $due, at: $now }
    # With a caret, so that no `extern`, alias or definition of that name is found.
    let program = (which "^awskeep" | where path =~ '^(/|[A-Za-z]:)' | get --optional 0.path)
    if $program == null { return }
    try { "" | ^$program rotate --if-due --all --no-input --background | ignore }
    if (__awskeep_read) != $due { $env.__awskeep_called = { for: -1, at: 0 } }
}

if $nu.is-interactive {
    $env.config.hooks.pre_prompt = (
        $env.config.hooks.pre_prompt?
        | default []
        | append { __awskeep_prompt }
    )
}
