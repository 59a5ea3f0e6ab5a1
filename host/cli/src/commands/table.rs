//! Tables for people.

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Columns that are as wide as what is in them, two spaces apart; a line a row.
pub(super) fn lines<const N: usize>(rows: &[[String; N]], sides: [Side; N]) -> String {
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths.iter().zip(sides)).map(|(cell, (&width, side))| match side {
            Side::Left => format!("{cell:width$}"),
            Side::Right => format!("{cell:>width$}"),
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_left_and_numbers_right() {
        let rows = [["NAME", "N", "X"], ["web", "10", ""], ["a", "9", "é"]].map(|row| row.map(str::to_owned));
        assert_eq!(lines(&rows, [Side::Left, Side::Right, Side::Right]), "NAME   N  X\nweb   10\na      9  é\n");
    }
}
