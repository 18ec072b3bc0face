//! What an edit changes, as a unified diff in which no secret stands. Pure.
//!
//! Lines are masked before they are shown; that is `masking`'s part.

use std::fmt::Write;

use similar::udiff::UnifiedHunkHeader;
use similar::{Algorithm, DiffOp};

use crate::import::masking;

/// Unchanged lines around a change.
const AROUND: usize = 3;

/// A unified diff of two texts; empty if they are the same.
pub fn unified(name: &str, old: &str, new: &str) -> String {
    let (old_lines, new_lines) = (lines(old), lines(new));
    let ops = similar::capture_diff_slices(Algorithm::Patience, &old_lines, &new_lines);
    let (old_shown, new_shown) = (masking::lines(&old_lines), masking::lines(&new_lines));
    let mut out = String::new();
    for hunk in similar::group_diff_ops(ops, AROUND) {
        if out.is_empty() {
            out = format!("--- {name}\n+++ {name}\n");
        }
        let _ = writeln!(out, "{}", UnifiedHunkHeader::new(&hunk));
        for change in hunk
            .iter()
            .flat_map(|op| op.iter_changes(&old_shown, &new_shown))
        {
            let line = change.value();
            let line = line.trim_end_matches(['\r', '\n']);
            let _ = writeln!(out, "{}{line}", change.tag());
        }
    }
    out
}

/// The lines of a text, each with its line end.
pub fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// For each old line, where it stands among the new ones, if it does.
pub(super) fn kept(old: &[&str], new: &[&str]) -> Vec<Option<usize>> {
    let mut places = vec![None; old.len()];
    for op in similar::capture_diff_slices(Algorithm::Patience, old, new) {
        if let DiffOp::Equal {
            old_index,
            new_index,
            len,
        } = op
        {
            for n in 0..len {
                places[old_index + n] = Some(new_index + n);
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_shows_the_lines_and_no_secret() {
        let old = "# mine\r\n[work]\r\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\r\naws_secret_access_key=wJalr/x+y\r\n# old secret wJalr\r\n\r\n[b]\r\nregion = x\r\n";
        let new = "# mine\r\n# old secret wJalr\r\n\r\n[b]\r\nregion = x\r\n[c]\r\n";
        let shown = unified("f", old, new);
        assert_eq!(
            shown,
            "--- f\n+++ f\n@@ -1,8 +1,6 @@\n # mine\n-[work]\n-aws_access_key_id = AKIAIOSFODNN7EXAMPLE\n\
             -aws_secret_access_key= [secret]\n # old secret [secret]\n \n [b]\n region = x\n+[c]\n"
        );
        assert_eq!(unified("f", old, old), "");
    }
}
