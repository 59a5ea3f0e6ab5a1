//! How random are the places where things lie, and the seed? Measured over many boots of one image.

use super::place::Place;
use super::server::run;
use super::subjects::Subjects;
use super::{figure, more};
use crate::command::finish;
use crate::randomness::Randomness;
use crate::results::{Figure, Line, Outcome};
use anyhow::{Context, Result};
use std::path::Path;

/// Boots in each place.
const PLACES: [(Place, usize); 2] = [(Place::Process, 1000), (Place::Microvm, 100)];
/// What the guest says of itself: the word that its line begins with, and what it is.
const VALUES: [(&str, &str); 6] = [
    ("image", "where the image lies"),
    ("stack", "where the first stack lies"),
    ("arena", "where the arena lies"),
    ("heap", "where a first heap block lies"),
    ("gate", "where the gate's code lies"),
    ("seed", "the seed's first 8 bytes"),
];

pub(super) fn figures(subjects: &Subjects) -> Result<Vec<Figure>> {
    let image = subjects.image("tests/guests/attacks", false)?;
    let mut lines = Vec::new();
    for (place, boots) in PLACES {
        let line = |index: usize, outcome| Line { outcome, against: None, ..place.line(VALUES[index].1) };
        if let Some(why) = place.lacks(false) {
            lines.extend((0..VALUES.len()).map(|index| line(index, Outcome::Absent(why.clone()))));
            continue;
        }
        let boots = if subjects.is_quick { boots / 20 } else { boots };
        let boots = (0..boots).map(|_| boot(subjects, &image, place)).collect::<Result<Vec<_>>>();
        lines.extend((0..VALUES.len()).map(|index| {
            line(
                index,
                match &boots {
                    Ok(boots) => randomness(boots.iter().map(|boot| boot[index]).collect()),
                    Err(error) => Outcome::Failed(format!("{error:#}")),
                },
            )
        }));
    }
    let about = "Of an image's boots: the collision entropy that equal pairs show, or, where there are none, the least that is \
                 likely (95 %), which is all that so few boots can say; how many boots; how many values differ; how many bits \
                 varied, and how many of those evenly. docs/security.md says what is to be expected.";
    let columns = ["collision entropy", "boots", "differ", "bits that vary", "evenly"];
    let columns = columns.map(|name| more(name, if name == "collision entropy" { "bits" } else { "" }));
    Ok(vec![figure(
        "entropy",
        "How random places and the seed are",
        about,
        columns.into(),
        1,
        super::turns::grouped(lines),
    )])
}

fn randomness(values: Vec<u64>) -> Outcome {
    let Some(found) = Randomness::of(&values) else { return Outcome::Failed("too few boots".into()) };
    let numbers = [found.count, found.distinct, found.varied as usize, found.balanced as usize].map(|n| n as f64);
    let all = [found.collision_bits].into_iter().chain(numbers);
    Outcome::Measured(all.map(|number| [number].into_iter().collect()).collect())
}

/// Boots once and reads what the guest says, in the order of [`VALUES`].
fn boot(subjects: &Subjects, image: &Path, place: Place) -> Result<[u64; VALUES.len()]> {
    let text = finish(run(subjects, image, place).args(["--", "where"]))?;
    let mut values = [0; VALUES.len()];
    for (value, (word, _)) in values.iter_mut().zip(VALUES) {
        let line = text.lines().find_map(|line| line.trim_end().strip_prefix(word)?.strip_prefix(" 0x"));
        let digits = line.with_context(|| format!("the guest does not say where its {word} is: {text}"))?;
        *value = u64::from_str_radix(digits.get(..16).unwrap_or(digits), 16)?;
    }
    Ok(values)
}
