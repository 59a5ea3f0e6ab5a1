//! Who is faster than whom.

use super::number::ratio;
use crate::results::{Figure, Line, Role};

/// Less than this apart, two medians count as equal: runs of one thing differ by as much.
const EQUAL: f64 = 1.05;

/// A subject of ours beside its reference.
pub(super) struct Pair<'a> {
    pub(super) figure: &'a Figure,
    pub(super) ours: &'a Line,
    pub(super) reference: &'a Line,
    /// How many times ours is the reference.
    pub(super) ratio: f64,
    /// How many times worse it is; below 1, better.
    pub(super) worse: f64,
}

impl Pair<'_> {
    /// Is it worse by more than runs of one thing differ?
    pub(super) fn is_worse(&self) -> bool {
        self.worse > EQUAL
    }
}

/// Every subject of ours that was measured beside its reference.
pub(super) fn pairs(figure: &Figure) -> impl Iterator<Item = Pair<'_>> {
    figure.lines.iter().filter(|line| line.role == Role::Ours).filter_map(|ours| pair(figure, ours))
}

/// One subject beside its reference, by the first column.
pub(super) fn pair<'a>(figure: &'a Figure, ours: &'a Line) -> Option<Pair<'a>> {
    let reference = figure.reference(ours)?;
    let ratio = ratio(ours.first()?.median(), reference.first()?.median())?;
    let worse = if figure.columns.first()?.is_less_better { ratio } else { 1.0 / ratio };
    Some(Pair { figure, ours, reference, ratio, worse })
}
