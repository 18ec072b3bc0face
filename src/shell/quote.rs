//! Shell code that sets and unsets variables, quoted so that no value can be anything
//! but a value. Pure.

use crate::types::shell::Shell;
use zeroize::Zeroizing;

impl Shell {
    /// Code that sets variables for programs started from then on, and takes others away.
    ///
    /// Each line ends with a semicolon, so that `eval $(…)` without quotes works too. In a
    /// shell that it is not for it sets nothing: POSIX shells and fish differ in what `'\\\\'`
    /// is (two characters, one), and with that `test` each line says for whom it is. There,
    /// what would be mixed up with the wanted values goes, and the status is 1.
    pub fn code(self, set: &[(&str, &str)], unset: &[&str]) -> Zeroizing<String> {
        // Room for everything, so that no copy of a secret is left behind.
        let mut code = Zeroizing::new(String::with_capacity(16 * 1_024));
        let stale: Vec<&str> = set.iter().map(|(name, _)| *name).collect();
        let stale = [&stale, unset].concat().join(" ");
        let gone = unset.join(" ");
        let refuse = |own: &str, other: &str| {
            format!(
                "echo 'awskeep: this is code for {own}, nothing was set; \
                 hint: awskeep env --shell {other}' >&2"
            )
        };
        match self {
            Shell::Bash | Shell::Zsh => {
                let refuse = refuse(self.word(), "fish");
                code.push_str(&format!("{IN_FISH} && {refuse} && set -e {stale};\n"));
                code.push_str(&format!("{IN_POSIX} && export"));
                for (name, value) in set {
                    code.push_str(&format!(" {name}="));
                    code.push_str(&quoted_for_both(value));
                }
                if !gone.is_empty() {
                    code.push_str(&format!(" && unset {gone}"));
                }
                code.push_str(";\n");
            }
            Shell::Fish => {
                let refuse = refuse("fish", "bash");
                code.push_str(&format!("{IN_POSIX} && {refuse} && unset {stale};\n"));
                if !gone.is_empty() {
                    code.push_str(&format!("{IN_FISH} && set -e {gone};\n"));
                }
                code.push_str(IN_FISH);
                for (name, value) in set {
                    code.push_str(&format!(" && set -gx {name} "));
                    code.push_str(&quoted_for_both(value));
                }
                code.push_str(";\n");
            }
            // The first line does nothing, and ends the reading in other shells before a value comes.
            Shell::PowerShell => {
                code.push_str("if ($true) {};\n");
                for (name, value) in set {
                    code.push_str(&format!("$env:{name} = "));
                    code.push_str(&self.quoted(value));
                    code.push_str(";\n");
                }
                for name in unset {
                    code.push_str(&format!(
                        "Remove-Item Env:{name} -ErrorAction SilentlyContinue;\n"
                    ));
                }
            }
            Shell::Nushell => {
                code.push_str("if true {};\n");
                for (name, value) in set {
                    code.push_str(&format!("$env.{name} = "));
                    code.push_str(&self.quoted(value));
                    code.push_str(";\n");
                }
                for name in unset {
                    code.push_str(&format!("hide-env --ignore-errors {name};\n"));
                }
            }
        }
        code
    }

    /// A text as one word that means just itself.
    pub fn quoted(self, text: &str) -> Zeroizing<String> {
        // Room for the worst case, so that no copy of a secret is left behind.
        let mut out = Zeroizing::new(String::with_capacity(4 * text.len() + 2));
        let quote = match self {
            Shell::Nushell => '"',
            Shell::Bash | Shell::Zsh | Shell::Fish | Shell::PowerShell => '\'',
        };
        out.push(quote);
        for c in text.chars() {
            match (self, c) {
                (Shell::Bash | Shell::Zsh, '\'') => out.push_str("'\\''"),
                (Shell::Fish, '\'' | '\\') | (Shell::Nushell, '"' | '\\') => {
                    out.push('\\');
                    out.push(c);
                }
                // PowerShell takes typographic quotes for plain ones.
                (Shell::PowerShell, '\'' | '\u{2018}'..='\u{201b}') => {
                    out.push(c);
                    out.push(c);
                }
                (
                    Shell::Bash | Shell::Zsh | Shell::Fish | Shell::PowerShell | Shell::Nushell,
                    c,
                ) => out.push(c),
            }
        }
        out.push(quote);
        out
    }
}

/// True in fish only.
const IN_FISH: &str = r"test '\\' = \\";

/// True in every POSIX shell, and not in fish.
const IN_POSIX: &str = r"test '\\' != \\";

/// A text as one word that means just itself in POSIX shells and in fish: a shell that must
/// not run a line still reads it.
fn quoted_for_both(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(4 * text.len() + 2));
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' => out.push_str(r"'\''"),
            '\\' => out.push_str(r"'\\'"),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting() {
        const TEXT: &str = r#"it's "\""#;
        for (shell, expected) in [
            (Shell::Bash, r#"'it'\''s "\"'"#),
            (Shell::Zsh, r#"'it'\''s "\"'"#),
            (Shell::Fish, r#"'it\'s "\\"'"#),
            (Shell::PowerShell, r#"'it''s "\"'"#),
            (Shell::Nushell, r#""it's \"\\\"""#),
        ] {
            assert_eq!(*shell.quoted(TEXT), expected);
        }
        assert_eq!(*quoted_for_both(TEXT), r#"'it'\''s "'\\'"'"#);
    }

    #[test]
    fn each_line_of_code_ends_with_a_semicolon() {
        for shell in Shell::ALL {
            let code = shell.code(&[("A", "1"), ("B", "2")], &["C", "D"]);
            assert!(code.lines().all(|line| line.ends_with(';')), "{}", *code);
        }
        assert_eq!(
            *Shell::Bash.code(&[("A", "1"), ("B", "2")], &["C", "D"]),
            "test '\\\\' = \\\\ && echo 'awskeep: this is code for bash, nothing was set; \
             hint: awskeep env --shell fish' >&2 && set -e A B C D;\n\
             test '\\\\' != \\\\ && export A='1' B='2' && unset C D;\n"
        );
    }

    #[test]
    fn shells_are_known_by_their_programs() {
        for (path, shell) in [
            ("/bin/bash", Some(Shell::Bash)),
            ("/usr/bin/dash", Some(Shell::Bash)),
            ("mksh", Some(Shell::Bash)),
            ("/bin/zsh-5.9", Some(Shell::Zsh)),
            ("zsh", Some(Shell::Zsh)),
            ("/opt/fish", Some(Shell::Fish)),
            (r"C:\x\pwsh.exe", Some(Shell::PowerShell)),
            ("/b/nu", Some(Shell::Nushell)),
            ("/bin/tcsh", None),
            ("", None),
        ] {
            assert_eq!(Shell::of_program(path), shell, "{path}");
        }
    }
}
