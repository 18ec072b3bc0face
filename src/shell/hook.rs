//! The hooks, as they stand in `shell/`. Pure.

use crate::types::shell::Shell;

/// A shell's hook.
pub fn text(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("../../shell/hook.bash"),
        Shell::Zsh => include_str!("../../shell/hook.zsh"),
        Shell::Fish => include_str!("../../shell/hook.fish"),
        Shell::PowerShell => include_str!("../../shell/hook.ps1"),
        Shell::Nushell => include_str!("../../shell/hook.nu"),
    }
}
