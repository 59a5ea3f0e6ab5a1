//! Every target for a second or two, with the committed corpus.

mod common;

use ampoule_fuzz_bodies::TARGETS;

fn smoke(name: &str, rounds: usize) {
    let (_, body) = TARGETS.into_iter().find(|(target, _)| *target == name).expect("a target");
    common::smoke(name, body, rounds);
}

#[test]
fn ring() {
    smoke("ring", 50_000);
}

#[test]
fn hostnet() {
    smoke("hostnet", 6_000);
}

#[test]
fn net() {
    smoke("net", 6_000);
}

#[test]
fn stack() {
    smoke("stack", 20_000);
}

#[test]
fn image() {
    smoke("image", 4_000);
}

#[test]
fn program() {
    smoke("program", 5_000);
}

#[test]
fn files() {
    smoke("files", 100_000);
}

#[test]
fn manifest() {
    smoke("manifest", 100_000);
}

#[test]
fn toml() {
    smoke("toml", 15_000);
}

#[test]
fn requests() {
    smoke("requests", 15_000);
}

#[test]
fn signature() {
    smoke("signature", 15_000);
}
