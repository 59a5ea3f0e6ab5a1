//! Subjects that take turns: A, B, A, B, so that what else happens on the computer falls on all alike.

use super::place::Place;
use super::subjects::Program;
use crate::results::{Line, Outcome};
use crate::sample::Samples;
use anyhow::Result;

/// A number for each group and each of its columns.
pub(super) type Numbers = Vec<Vec<f64>>;

/// One subject.
pub(super) struct Contender<'a> {
    /// A line for each group that it has numbers for.
    lines: Vec<Line>,
    measure: Box<dyn FnMut() -> Result<Numbers> + 'a>,
    is_out: bool,
}

impl<'a> Contender<'a> {
    /// A subject whose lines are made by hand.
    pub(super) fn new(lines: Vec<Line>, measure: impl FnMut() -> Result<Numbers> + 'a) -> Self {
        Contender { lines, measure: Box::new(measure), is_out: false }
    }

    /// A program in a place, in these groups; with the reason if it cannot be had there.
    pub(super) fn at(
        place: Place,
        program: &Program,
        needs_tap: bool,
        groups: &[String],
        measure: impl FnMut() -> Result<Numbers> + 'a,
    ) -> Self {
        let mut this = Self::new(groups.iter().map(|group| place.line(group)).collect(), measure);
        if let Some(why) = place.lacks(needs_tap) {
            this.conclude(Outcome::Absent(why));
        } else if let Some(why) = place.fails(program) {
            this.conclude(Outcome::Failed(why));
        }
        this
    }

    /// One that cannot be had here, and why.
    pub(super) fn without(mut self, why: String) -> Self {
        self.conclude(Outcome::Absent(why));
        self
    }

    /// The number to reach, of all its lines.
    pub(super) fn reach(mut self, reach: &str) -> Self {
        self.lines.iter_mut().for_each(|line| line.reach = Some(reach.into()));
        self
    }

    fn conclude(&mut self, outcome: Outcome) {
        self.is_out = true;
        self.lines.iter_mut().for_each(|line| line.outcome = outcome.clone());
    }

    fn add(&mut self, numbers: Numbers) {
        if numbers.len() != self.lines.len() {
            let why = format!("{} groups were measured instead of {}", numbers.len(), self.lines.len());
            return self.conclude(Outcome::Failed(why));
        }
        for (line, numbers) in self.lines.iter_mut().zip(numbers) {
            if let Outcome::Measured(columns) = &mut line.outcome {
                columns.resize(numbers.len(), Samples::default());
                columns.iter_mut().zip(numbers).for_each(|(samples, number)| samples.push(number));
            }
        }
    }
}

/// Lets all take their turns, and gives their lines, group by group. One that fails once is out: its run is invalid.
pub(super) fn take(rounds: usize, mut contenders: Vec<Contender<'_>>) -> Vec<Line> {
    for round in 1..=rounds {
        for contender in contenders.iter_mut().filter(|contender| !contender.is_out) {
            match (contender.measure)() {
                Ok(numbers) => contender.add(numbers),
                Err(error) => {
                    let who = contender.lines.first().map_or("", |line| &line.who);
                    eprintln!("  round {round}: {who}: {error:#}");
                    contender.conclude(Outcome::Failed(format!("{error:#}")));
                }
            }
        }
    }
    grouped(contenders.into_iter().flat_map(|contender| contender.lines))
}

/// Lines of one group together, groups in the order of their first lines.
pub(super) fn grouped(lines: impl IntoIterator<Item = Line>) -> Vec<Line> {
    let mut out: Vec<Line> = Vec::new();
    for line in lines {
        let after = out.iter().rposition(|other| other.group == line.group);
        out.insert(after.map_or(out.len(), |index| index + 1), line);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn they_take_turns_and_one_that_fails_is_out() {
        let order = RefCell::new(Vec::new());
        let lines = |place: Place| ["x", "y"].iter().map(|group| place.line(group)).collect::<Vec<_>>();
        let a = Contender::new(lines(Place::Process), || {
            order.borrow_mut().push('a');
            Ok(vec![vec![1.0], vec![2.0]])
        });
        let b = Contender::new(lines(Place::Native), || {
            order.borrow_mut().push('b');
            let count = order.borrow().len();
            if count > 3 { anyhow::bail!("broken") } else { Ok(vec![vec![3.0], vec![4.0]]) }
        });
        let lines = take(3, vec![a, b]);
        assert_eq!(order.into_inner(), ['a', 'b', 'a', 'b', 'a']);
        let names: Vec<(&str, &str)> = lines.iter().map(|line| (&*line.group, &*line.who)).collect();
        let (ours, native) = ("Ampoule, process", "native");
        assert_eq!(names, [("x", ours), ("x", native), ("y", ours), ("y", native)]);
        assert_eq!(lines[2].outcome, Outcome::Measured(vec![[2.0; 3].into_iter().collect()]));
        assert_eq!(lines[3].outcome, Outcome::Failed("broken".into()));
    }
}
