# shellcheck shell=bash
# awskeep's hook for bash 3.2 and newer. README.md beside this file says what it promises.
#
# At each prompt of an interactive shell it reads one number, the time before which there is
# nothing to do, and compares it with the clock. Not due: that is all, and no process is started.

if [[ $- == *i* && $- != *r* ]]; then

    # Set here, so that the environment cannot: bash evaluates what it calculates with.
    __awskeep_called_for=''
    __awskeep_called_at=0
    __awskeep_epoch=''
    __awskeep_seconds=0

    # The file with the number is in awskeep's state folder.
    __awskeep_find() {
        \builtin local home folder
        home=${HOME:-~}
        case ${OSTYPE-} in
            darwin*) folder="$home/Library/Application Support" ;;
            msys* | cygwin*) folder=${LOCALAPPDATA:-$home/AppData/Local} ;;
            *)
                case ${XDG_STATE_HOME-} in
                    /*) folder=$XDG_STATE_HOME ;;
                    *) folder=$home/.local/state ;;
                esac
                ;;
        esac
        __awskeep_next_due=$folder/awskeep/next-due
    }

    __awskeep_is_number() {
        case $1 in
            '' | *[!0123456789]* | ?????????????*) \builtin return 1 ;;
        esac
    }

    # Sets `now` where bash 5's clock is missing: by bash 4.2's, or from one `date` and SECONDS.
    __awskeep_clock() {
        now=''
        \builtin printf -v now '%(%s)T' -1 2>&-
        # bash 3.2 takes the variable away when it does not know the format.
        __awskeep_is_number "${now-}" && \builtin return
        __awskeep_is_number "${SECONDS-}" || \builtin return
        # SECONDS runs back when somebody sets it.
        if [[ -z $__awskeep_epoch ]] || ((SECONDS < __awskeep_seconds)); then
            # Under extdebug a DEBUG trap would print into it.
            case $- in
                *T*) \builtin set +T && now=$(\command date +%s) && \builtin set -T ;;
                *) now=$(\command date +%s) ;;
            esac
            __awskeep_is_number "$now" || \builtin return
            __awskeep_epoch=$((now - SECONDS))
        fi
        __awskeep_seconds=$SECONDS
        now=$((__awskeep_epoch + SECONDS))
    }

    # Sets `due`. With a closed stderr, since /dev/null would be one more file to open.
    __awskeep_read() {
        due=''
        [[ -f $__awskeep_next_due ]] || \builtin return 0
        { IFS='' \builtin read -r -n 20 due; } 2>&- <"$__awskeep_next_due"
    }

    __awskeep_look() {
        [[ ${AWSKEEP_HOOK-} != off && -f $__awskeep_next_due ]] || \builtin return 0
        \builtin local due='' now="${EPOCHSECONDS-}"
        { IFS='' \builtin read -r -n 20 due; } 2>&- <"$__awskeep_next_due"
        case $due in
            '' | *[!0123456789]* | ?????????????*) \builtin return 0 ;;
        esac
        case $now in
            '' | *[!0123456789]*) __awskeep_clock || \builtin return 0 ;;
        esac
        # awskeep never sleeps longer than a week: what is further ahead, a wrong clock has written.
        ((10#$due > now && 10#$due <= now + 691200)) || __awskeep_call
    }

    # Calls awskeep. If the same number stands there afterwards, perhaps because nobody can write
    # another one, the next call is ten minutes later.
    __awskeep_call() {
        \builtin local program='' folders="${PATH-}:"
        [[ $due != "$__awskeep_called_for" ]] ||
            ((now < __awskeep_called_at || now >= __awskeep_called_at + 600)) || \builtin return 0
        __awskeep_called_for=$due
        __awskeep_called_at=$now
        # Not by `$(type -P)`: under extdebug a DEBUG trap would print into it, or skip it.
        while [[ -n $folders && -z $program ]]; do
            program=${folders%%:*}/awskeep
            folders=${folders#*:}
            [[ $program == /* && -f $program && -x $program ]] || program=''
        done
        [[ -n $program ]] || \builtin return 0
        "$program" rotate --if-due --all --no-input --background </dev/null >/dev/null
        __awskeep_read
        [[ $due == "$__awskeep_called_for" ]] || __awskeep_called_for=''
    }

    # bash itself keeps `$_` and PIPESTATUS, and `$?` between the elements of an array. To what
    # follows in the same string `$?` is handed on; not under errexit, where it would end the shell.
    __awskeep_prompt() {
        \builtin local status="$?"
        __awskeep_look || \builtin true
        [[ $- == *e* ]] || \builtin return "$status"
    }

    # To the string: no array is exported, and shells that are started from this one would lose
    # what the user has exported. There the variable is not set, and nothing is called. A line end
    # goes before it, since a semicolon may be there already.
    # shellcheck disable=SC2016,SC2128,SC2178
    __awskeep_append() {
        PROMPT_COMMAND=${PROMPT_COMMAND:+$PROMPT_COMMAND$'\n'}'${__awskeep_next_due:+__awskeep_prompt}'
    }

    # shellcheck disable=SC2128,SC2178 # a string in old versions, an array in new ones
    __awskeep_install() {
        case "${PROMPT_COMMAND[*]-} ${precmd_functions[*]-}" in
            *__awskeep_prompt*) \builtin return 0 ;;
        esac
        if [[ -n ${bash_preexec_imported-}${__bp_imported-} ]]; then
            # bash-preexec must stay the last one in PROMPT_COMMAND.
            precmd_functions+=(__awskeep_prompt)
        elif ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)); then
            [[ -n ${PROMPT_COMMAND+x} && ${PROMPT_COMMAND@a} == *r* ]] && \builtin return 0
            if [[ -n ${PROMPT_COMMAND+x} && ${PROMPT_COMMAND@a} == *x* && ${PROMPT_COMMAND@a} != *a* ]]; then
                __awskeep_append
            else
                # Who sets PROMPT_COMMAND later sets its first element: ours is another one.
                PROMPT_COMMAND[0]=${PROMPT_COMMAND-}
                PROMPT_COMMAND+=(__awskeep_prompt)
            fi
        elif [[ ! $(\builtin declare -p PROMPT_COMMAND 2>/dev/null) =~ ^declare\ -[A-Za-z]*r ]]; then
            __awskeep_append
        fi
    }

    __awskeep_find
    __awskeep_install || \builtin true
    \builtin unset -f __awskeep_find __awskeep_install __awskeep_append
fi
