//! Which program stands behind the keychain, by the name of its process. Edge: it reads
//! `/proc`. Anybody can take such a name: it decides what is said, and what need not be asked.

use std::fs;

use crate::store::error::{GNOME_KEYRING, KEEPASSXC, KWALLET};

/// The longest name of a process that Linux keeps, in bytes.
const MAX_NAME: usize = 15;

/// What people call the program with this process id; none if it is not in sight.
pub fn name_of(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    called(name.trim_end())
}

fn called(process: &str) -> Option<String> {
    let printable = |c: char| c.is_ascii_graphic();
    if process.is_empty() || process.len() > MAX_NAME || !process.chars().all(printable) {
        return None;
    }
    let name = match process {
        "gnome-keyring-d" => GNOME_KEYRING,
        "kwalletd5" | "kwalletd6" | "ksecretd" => KWALLET,
        "keepassxc" => KEEPASSXC,
        other => other,
    };
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_called_what_people_call_them() {
        let check = |process, expected: Option<&str>| {
            assert_eq!(called(process).as_deref(), expected, "{process}");
        };
        check("gnome-keyring-d", Some("gnome-keyring"));
        check("kwalletd5", Some("KWallet"));
        check("ksecretd", Some("KWallet"));
        check("keepassxc", Some("KeePassXC"));
        check("oo7-daemon", Some("oo7-daemon"));
        check("", None);
        check("a b", None);
        check("\u{1b}[2J", None);
    }
}
