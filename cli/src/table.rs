//! Aligned tables for people.

use crate::escape;

/// Rows under a heading, in columns two blanks apart. Cells are escaped.
pub(crate) fn render<const N: usize>(heading: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[String; N]> = std::iter::once(heading.map(str::to_owned))
        .chain(rows.iter().map(|row| row.each_ref().map(|cell| escape::line(cell).into_owned())))
        .collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    });
    let mut out = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_cells_are_harmless() {
        let rows =
            [["printer".to_owned(), "3".to_owned()], ["é\x1b[m".to_owned(), "10".to_owned()]];
        let text = render(["NAME", "FUNCTIONS"], &rows);
        assert_eq!(text, "NAME       FUNCTIONS\nprinter    3\né\\u{1b}[m  10\n");
    }
}
