//! How large the images are.

use super::subjects::length;
use super::{Row, Subjects};
use anyhow::Result;

pub(super) fn rows(subjects: &Subjects) -> Result<Vec<Row>> {
    let bytes = |path: Result<std::path::PathBuf>| path.and_then(|p| length(&p)).map(|n| format!("{n} B"));
    let native = |folder| match subjects.native(folder).and_then(|p| length(&p)) {
        Ok(n) => format!("static glibc {n} B"),
        Err(error) => format!("native: {error:#}"),
    };
    Ok(vec![
        Row::new(
            "sealed hello, with the one line",
            bytes(subjects.image("examples/hello", true)),
            "≤ 100 KB",
            format!("{}; Unikraft's C hello 222,436 B (recorded)", native("examples/hello")),
        ),
        Row::new("sealed hello, no line", bytes(subjects.image("examples/hello", false)), "–", ""),
        Row::new(
            "sealed web (tokio, axum), with the one line",
            bytes(subjects.image("examples/web", true)),
            "≤ 900 KB",
            native("examples/web"),
        ),
        Row::new("sealed web, no line", bytes(subjects.image("examples/web", false)), "–", ""),
    ])
}
