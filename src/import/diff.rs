//! What an edit changes, as a unified diff in which no secret stands. Pure.
//!
//! Lines are masked before they are shown; that is `masking`'s part.

use std::fmt::Write;

use super::masking;

/// Unchanged lines around a change.
const AROUND: usize = 3;

/// A unified diff of two texts; empty if they are the same.
pub fn unified(name: &str, old: &str, new: &str) -> String {
    let (old_lines, new_lines) = (lines(old), lines(new));
    let ops = operations(&old_lines, &new_lines);
    if ops.iter().all(|op| matches!(op, Op::Keep(..))) {
        return String::new();
    }
    let (old_shown, new_shown) = (masking::lines(&old_lines), masking::lines(&new_lines));
    let mut out = format!("--- {name}\n+++ {name}\n");
    for range in hunks(&ops) {
        let part = &ops[range];
        let (old_at, new_at) = part[0].starts();
        let old_count = part.iter().filter(|op| !matches!(op, Op::Add(..))).count();
        let new_count = part.iter().filter(|op| !matches!(op, Op::Drop(..))).count();
        let _ = writeln!(
            out,
            "@@ -{},{old_count} +{},{new_count} @@",
            old_at + usize::from(old_count > 0),
            new_at + usize::from(new_count > 0)
        );
        for op in part {
            let (sign, line) = match op {
                Op::Keep(o, _) => (' ', &old_shown[*o]),
                Op::Drop(o, _) => ('-', &old_shown[*o]),
                Op::Add(_, n) => ('+', &new_shown[*n]),
            };
            let _ = writeln!(out, "{sign}{}", line.trim_end_matches(['\r', '\n']));
        }
    }
    out
}

/// The lines of a text, each with its line end.
pub fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Indices into the old and the new lines at which the operation stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Op {
    Keep(usize, usize),
    Drop(usize, usize),
    Add(usize, usize),
}

impl Op {
    fn starts(self) -> (usize, usize) {
        match self {
            Op::Keep(o, n) | Op::Drop(o, n) | Op::Add(o, n) => (o, n),
        }
    }
}

/// The longest common subsequence, after cutting what both ends share.
pub(super) fn operations(old: &[&str], new: &[&str]) -> Vec<Op> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let most = old.len().min(new.len()) - head;
    let tail = (0..most)
        .take_while(|n| old[old.len() - 1 - n] == new[new.len() - 1 - n])
        .count();
    let (a, b) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let width = b.len() + 1;
    let mut longest = vec![0u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i * width + j] = if a[i] == b[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let mut ops: Vec<Op> = (0..head).map(|n| Op::Keep(n, n)).collect();
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let (o, n) = (head + i, head + j);
        if i < a.len() && j < b.len() && a[i] == b[j] {
            ops.push(Op::Keep(o, n));
            (i, j) = (i + 1, j + 1);
        } else if i < a.len()
            && (j == b.len() || longest[(i + 1) * width + j] >= longest[i * width + j + 1])
        {
            ops.push(Op::Drop(o, n));
            i += 1;
        } else {
            ops.push(Op::Add(o, n));
            j += 1;
        }
    }
    ops.extend((0..tail).map(|n| Op::Keep(old.len() - tail + n, new.len() - tail + n)));
    ops
}

/// Ranges of operations that are shown together.
fn hunks(ops: &[Op]) -> Vec<std::ops::Range<usize>> {
    let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        if matches!(op, Op::Keep(..)) {
            continue;
        }
        let range = at.saturating_sub(AROUND)..(at + AROUND + 1).min(ops.len());
        match ranges.last_mut() {
            Some(last) if range.start <= last.end => last.end = range.end,
            Some(_) | None => ranges.push(range),
        }
    }
    ranges
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
