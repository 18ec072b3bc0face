# awskeep's hook for PowerShell (5.1 and newer). README.md beside this file says what it promises.
#
# At each prompt it reads one number, the time before which there is nothing to do, and compares
# it with the clock. Not due: that is all, and no process is started.

if ($ExecutionContext.SessionState.LanguageMode -eq 'FullLanguage') {

    # The file with the number, in awskeep's state folder.
    function global:__awskeep_next_due {
        $folder = if ([Environment]::OSVersion.Platform -eq 'Win32NT') {
            [Environment]::GetFolderPath('LocalApplicationData')
        } elseif ($IsMacOS) {
            "$HOME/Library/Application Support"
        } elseif ("$env:XDG_STATE_HOME".StartsWith('/')) {
            $env:XDG_STATE_HOME
        } else {
            "$HOME/.local/state"
        }
        [IO.Path]::Combine($folder, 'awskeep', 'next-due')
    }

    $global:__awskeep_called = @{ For = [long]-1; At = [long]0 }

    # The number; -1 if there is none.
    function global:__awskeep_read {
        $file = [IO.FileInfo](__awskeep_next_due)
        if (-not $file.Exists -or $file.Length -lt 1 -or $file.Length -gt 32) { return [long]-1 }
        $text = [IO.File]::ReadAllText($file.FullName).Trim()
        if ([regex]::IsMatch($text, '\A[0-9]{1,12}\z')) { [long]::Parse($text) } else { [long]-1 }
    }

    # Calls awskeep when the number is over. If the same number stands there afterwards, perhaps
    # because nobody can write another one, it is called again ten minutes later.
    function global:__awskeep_look {
        if ($env:AWSKEEP_HOOK -eq 'off') { return }
        $due = __awskeep_read
        if ($due -lt 0) { return }
        $now = [DateTimeOffset]::UtcNow.ToUnixTimeSeconds()
        # awskeep never sleeps longer than a week: what is further ahead, a wrong clock has written.
        if ($due -gt $now -and $due -le $now + 691200) { return }
        $called = $global:__awskeep_called
        if ($due -eq $called.For -and $now -ge $called.At -and $now -lt $called.At + 600) { return }
        $called.For = $due
        $called.At = $now
        $program = Get-Command awskeep -CommandType Application -TotalCount 1 -ErrorAction Ignore
        if ($null -eq $program) { return }
        $null | & $program.Path rotate --if-due --all --no-input --background | Out-Null
        if ((__awskeep_read) -ne $due) { $called.For = [long]-1 }
    }

    # What must not be seen from outside: errors, and the exit code of the call.
    function global:__awskeep_prompt {
        $errors = $global:Error.Count
        $code = Get-Variable -Name LASTEXITCODE -Scope Global -ValueOnly -ErrorAction Ignore
        try { __awskeep_look } catch { $null = $_ }
        $global:LASTEXITCODE = $code
        while ($global:Error.Count -gt $errors) { $global:Error.RemoveAt(0) }
    }

    # The prompt that is there goes first: it may show $?, which any statement before it would change.
    if (-not "$function:prompt".Contains('__awskeep_prompt')) {
        $global:__awskeep_inner_prompt = $function:prompt
        function global:prompt {
            & $global:__awskeep_inner_prompt
            __awskeep_prompt
        }
    }
}
