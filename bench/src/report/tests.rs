//! The renderer: what it makes of made-up results, and that the committed page is what it makes of the committed results.

use super::{FOLDER, RESULTS, example, files, page, svg};
use crate::results::{Outcome, Results};
use std::path::{Path, PathBuf};
use xml::reader::{EventReader, XmlEvent};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn same(what: &str, remedy: &str, expected: &str, found: &str) {
    for (number, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
        assert_eq!(expected, found, "{what}, line {}: {remedy}", number + 1);
    }
    assert_eq!(expected.len(), found.len(), "{what} is not what the renderer makes: {remedy}");
}

/// Compares with a file beside this one, or writes it.
fn snapshot(name: &str, found: &str) {
    const OVERWRITE: &str = "REPORT";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report").join(name);
    if std::env::var_os(OVERWRITE).is_some_and(|value| value == "overwrite") {
        std::fs::write(&path, found).expect("written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    same(name, "if it is right, run the test with REPORT=overwrite and look at the difference", &expected, found);
}

#[test]
fn a_page_of_made_up_results() {
    snapshot("example.md", &page(&example::results()));
}

#[test]
fn a_picture_of_made_up_results() {
    let results = example::results();
    snapshot("example.svg", &svg(&results.parts["http"].figures[0]));
}

#[test]
fn a_picture_is_xml_and_says_everything_in_words() {
    for part in example::results().parts.values() {
        let figure = &part.figures[0];
        let (mut texts, mut description, mut path) = (Vec::new(), String::new(), Vec::new());
        for event in EventReader::from_str(&svg(figure)) {
            match event.expect("well-formed") {
                XmlEvent::StartElement { name, attributes, .. } => {
                    let outside = attributes.iter().find(|a| ["href", "src"].contains(&&*a.name.local_name));
                    assert!(outside.is_none(), "it asks for {outside:?}");
                    path.push(name.local_name);
                }
                XmlEvent::EndElement { .. } => drop(path.pop()),
                XmlEvent::Characters(text) if path.last().is_some_and(|name| name == "text") => texts.push(text),
                XmlEvent::Characters(text) if path.last().is_some_and(|name| name == "desc") => description += &text,
                _ => {}
            }
        }
        for line in &figure.lines {
            assert!(texts.contains(&line.who), "{} is in no text", line.who);
            assert!(description.contains(&line.who) && description.contains(&line.group), "{description}");
            let number = line.first().map(|samples| super::number::text(samples.median()));
            let word = number.unwrap_or_else(|| {
                if matches!(line.outcome, Outcome::Failed(_)) { "failed" } else { "not measured" }.into()
            });
            assert!(texts.iter().any(|text| text.starts_with(&word)) && description.contains(&word), "{word}");
        }
    }
}

#[test]
fn what_is_slower_comes_first_and_the_worst_before_the_others() {
    let page = page(&example::results());
    let section = page.split("## Where we are slower").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("it");
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert_eq!(rows.len(), 2, "{section}");
    assert!(rows[0].contains("1.50 ms (Ampoule, process)") && rows[0].ends_with("| 3.12 × |"), "{section}");
    assert!(rows[1].contains("128,000 1/s (native)") && rows[1].ends_with("| 1.28 × |"), "{section}");
    assert!(page.find("Where we are slower") < page.find("Beside a Linux guest"));
}

#[test]
fn the_committed_page_is_made_of_the_committed_results() {
    let docs = docs();
    let results = Results::load(&docs.join(FOLDER).join(RESULTS)).expect("results");
    assert!(!results.parts.is_empty(), "no results are committed: docs/{FOLDER}/{RESULTS}");
    let files = files(&results);
    for (name, text) in &files {
        let committed = std::fs::read_to_string(docs.join(name)).unwrap_or_default();
        same(&format!("docs/{name}"), "`cargo xtask bench --render` makes it anew", &committed, text);
    }
    for entry in std::fs::read_dir(docs.join(FOLDER)).expect("the folder") {
        let name = format!("{FOLDER}/{}", entry.expect("an entry").file_name().to_string_lossy());
        assert!(name.ends_with(RESULTS) || files.iter().any(|(file, _)| *file == name), "docs/{name} is left over");
    }
}
