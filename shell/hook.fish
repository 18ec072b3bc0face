# awskeep's hook for fish. README.md beside this file says what it promises.
#
# At each prompt of an interactive shell it looks at the time of one file, which is set to when
# there will be something to do. Not due: that is all, and (since fish 3.5) no process is started.

if status is-interactive

    # The file is in awskeep's state folder.
    set -g __awskeep_next_due "$HOME/.local/state/awskeep/next-due"
    if test -d /System/Library/CoreServices
        set -g __awskeep_next_due "$HOME/Library/Application Support/awskeep/next-due"
    else if set -q MSYSTEM; and set -q LOCALAPPDATA
        set -g __awskeep_next_due "$LOCALAPPDATA/awskeep/next-due"
    else if string match -q '/*' -- "$XDG_STATE_HOME"
        set -g __awskeep_next_due "$XDG_STATE_HOME/awskeep/next-due"
    end
    set -g __awskeep_knows_ages (builtin -q path; and echo yes)
    set -g __awskeep_called_for ''
    set -g __awskeep_called_at 0

    # Calls awskeep when the number is over. If the same number stands there afterwards, perhaps
    # because nobody can write another one, it is called again ten minutes later. fish itself
    # keeps $status and $pipestatus.
    function __awskeep_prompt --on-event fish_prompt
        test "$AWSKEEP_HOOK" != off; and test -f "$__awskeep_next_due"; or return 0
        # fish has no clock; but it tells the time of a file, and how long ago that was.
        set -l now
        if set -q __awskeep_knows_ages[1]
            set -l ago (path mtime --relative -- $__awskeep_next_due); or return 0
            # awskeep never sleeps longer than a week: what is further ahead, a wrong clock has written.
            test "$ago" -ge 0; or test "$ago" -lt -691200; or return 0
            set now (math (path mtime --relative /) + (path mtime /))
        else
            set now (command date +%s)
        end
        # The file may have been copied without its time: the number in it decides.
        set -l due
        test -r "$__awskeep_next_due"; and read -l -n 20 due <$__awskeep_next_due
        string match -qr '^[0-9]{1,12}$' -- "$due"; or return 0
        test $due -le $now; or test $due -gt (math $now + 691200); or return 0
        if test "$due" = "$__awskeep_called_for"
            and test $now -ge $__awskeep_called_at
            and test $now -lt (math $__awskeep_called_at + 600)
            return 0
        end
        set -g __awskeep_called_for $due
        set -g __awskeep_called_at $now
        set -l program (command -s awskeep)
        string match -q '/*' -- "$program"; or return 0
        $program rotate --if-due --all --no-input --background </dev/null >/dev/null
        test -r "$__awskeep_next_due"; and read -l -n 20 due <$__awskeep_next_due
        test "$due" = "$__awskeep_called_for"; or set -g __awskeep_called_for ''
        return 0
    end
end
