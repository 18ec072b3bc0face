# awskeep's hook for zsh. README.md beside this file says what it promises.
#
# At each prompt of an interactive shell it reads one number, the time before which there is
# nothing to do, and compares it with the clock. Not due: that is all, and no process is started.

if [[ -o interactive ]] && builtin zmodload -F zsh/datetime p:EPOCHSECONDS 2>/dev/null; then

    # Set here, so that the environment cannot: zsh evaluates what it calculates with.
    builtin typeset -g __awskeep_called_for=''
    builtin typeset -gi __awskeep_called_at=0

    # The file with the number is in awskeep's state folder.
    __awskeep_find() {
        builtin emulate -L zsh
        builtin local home folder
        home=${HOME:-~}
        case ${OSTYPE-} in
            (darwin*) folder="$home/Library/Application Support" ;;
            (msys*|cygwin*) folder=${LOCALAPPDATA:-$home/AppData/Local} ;;
            (*)
                case ${XDG_STATE_HOME-} in
                    (/*) folder=$XDG_STATE_HOME ;;
                    (*) folder=$home/.local/state ;;
                esac
                ;;
        esac
        builtin typeset -g __awskeep_next_due=$folder/awskeep/next-due
    }

    # Sets `due`. With a closed stderr, since /dev/null would be one more file to open.
    __awskeep_read() {
        due=''
        [[ -f $__awskeep_next_due ]] || builtin return 0
        { IFS= builtin read -r due; } 2>&- <$__awskeep_next_due
    }

    # Calls awskeep when the number is over. If the same number stands there afterwards, perhaps
    # because nobody can write another one, it is called again ten minutes later. zsh itself
    # keeps `$?`, `$_` and pipestatus.
    __awskeep_prompt() {
        builtin emulate -L zsh
        [[ ${AWSKEEP_HOOK-} != off ]] || builtin return 0
        builtin local due program
        builtin typeset -i now
        __awskeep_read
        # Nothing but a short number is calculated with.
        case $due in
            (''|*[^0123456789]*|?????????????*) builtin return 0 ;;
        esac
        now=$EPOCHSECONDS
        # awskeep never sleeps longer than a week: what is further ahead, a wrong clock has written.
        (( 10#$due <= now || 10#$due > now + 691200 )) || builtin return 0
        if [[ $due == $__awskeep_called_for ]] &&
            (( now >= __awskeep_called_at && now < __awskeep_called_at + 600 )); then
            builtin return 0
        fi
        __awskeep_called_for=$due
        __awskeep_called_at=$now
        program=$(builtin whence -p awskeep)
        [[ $program == /* ]] || builtin return 0
        $program rotate --if-due --all --no-input --background </dev/null >/dev/null
        __awskeep_read
        [[ $due == $__awskeep_called_for ]] || __awskeep_called_for=''
        builtin return 0
    }

    __awskeep_install() {
        builtin emulate -L zsh
        builtin typeset -ga precmd_functions
        precmd_functions=(${precmd_functions:#__awskeep_prompt} __awskeep_prompt)
    }

    __awskeep_find
    __awskeep_install
    builtin unfunction __awskeep_find __awskeep_install
fi
