//! Tables for people: columns without lines between them. Pure.

use comfy_table::{Table, presets};

/// A table without rows.
pub fn headed<const N: usize>(columns: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns);
    table
}

/// Its lines, without blanks around them.
pub fn lines_of(table: &Table) -> String {
    table
        .lines()
        .map(|line| format!("{}\n", line.trim()))
        .collect()
}
