//! Why something is in the image: the way by which the program reaches it.

use super::Contents;
use super::graph::{Graph, How};
use super::owners::Owner;
use std::collections::BTreeSet;

/// One step of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The function, or what the data is.
    pub name: String,
    /// How the step before refers to it; `None` for the first, and for a function that was inlined into the one before.
    pub how: Option<How>,
    /// File and line of the reference.
    pub line: Option<(String, u32)>,
    /// Was it inlined into the step before?
    pub is_inlined: bool,
    /// Its bytes; 0 for what was inlined.
    pub bytes: u64,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// What was found for what was asked: a crate, a function, a module.
    pub found: String,
    /// From the machine's entry on.
    pub steps: Vec<Step>,
    /// How many functions fit what was asked, the one at the end of the way among them.
    pub matches: usize,
    /// Bytes of the file that would not be there without them.
    pub brings: u64,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyError {
    /// nothing has that name
    #[error("nothing in the image is called `{asked}`{}", near_text(.near))]
    Unknown {
        /// What was asked for.
        asked: String,
        /// What there is of similar names.
        near: Vec<String>,
    },
    /// in the image, but nothing refers to it
    #[error("`{0}` is in the image, but nothing that the program reaches refers to it")]
    Unreached(String),
}

fn near_text(near: &[String]) -> String {
    match near {
        [] => "; `ampoule inspect` lists the crates".into(),
        near => format!("; there is {}", near.join(", ")),
    }
}

/// What a node has of what was asked for.
#[derive(Clone, Copy)]
enum Fit {
    Itself,
    /// An index into [`Graph::inlined`].
    Inlined(u32),
    /// Code of the crate, from functions that have no names here.
    Code,
}

/// The way to a crate (`tokio`, `tokio 1.54.1`, `tokio@1.54.1`), or to a function or a module (`epoll_wait`, `Runtime::block_on`,
/// `tokio::runtime`).
///
/// # Errors
/// Nothing has that name, or nothing refers to it.
pub fn why(contents: &Contents, asked: &str) -> Result<Why, WhyError> {
    let graph = &contents.graph;
    let (found, fits) = match find_crate(contents, asked) {
        Some((owner, fits)) => (format!("crate {owner}"), fits),
        None => (asked.to_owned(), find_name(graph, asked)),
    };
    if fits.is_empty() {
        return Err(WhyError::Unknown { asked: asked.into(), near: near(contents, asked) });
    }
    let ways = fits.iter().filter_map(|&(node, fit)| Some((way(graph, node)?, fit)));
    let Some((nodes, fit)) =
        ways.min_by_key(|(way, fit)| (way.len(), !matches!(fit, Fit::Itself), way.last().copied()))
    else {
        return Err(WhyError::Unreached(found));
    };
    let mut steps: Vec<Step> = Vec::new();
    for (at, &node) in nodes.iter().enumerate() {
        let step = step(graph, at.checked_sub(1).map(|before| nodes[before]), node);
        match steps.last_mut() {
            // A word that holds an address is no step of its own.
            Some(last) if at > 1 && is_pointer(graph, nodes[at - 1]) => {
                *last = Step { how: last.how, line: last.line.take(), ..step }
            }
            _ => steps.push(step),
        }
    }
    match fit {
        Fit::Itself => {}
        Fit::Inlined(name) => steps.push(inlined(graph.inlined[name as usize].clone())),
        Fit::Code => steps.push(inlined(format!("code of {found}"))),
    }
    let own: BTreeSet<usize> =
        fits.iter().filter(|(_, fit)| matches!(fit, Fit::Itself)).map(|(node, _)| *node).collect();
    Ok(Why { found, steps, matches: fits.len(), brings: brings(graph, &own) })
}

/// Is it data without a name that holds one address, and nothing else?
fn is_pointer(graph: &Graph, node: usize) -> bool {
    let entry = &graph.nodes[node];
    !entry.is_function && entry.names.is_empty() && entry.length <= 16 && graph.edges[node].len() == 1
}

fn inlined(name: String) -> Step {
    Step { name, how: None, line: None, is_inlined: true, bytes: 0 }
}

/// The crate of a name, and the nodes with code of it.
fn find_crate(contents: &Contents, asked: &str) -> Option<(Owner, Vec<(usize, Fit)>)> {
    let (name, version) = match asked.split_once(['@', ' ']) {
        Some((name, version)) => (name, Some(version.trim_start_matches('v'))),
        None => (asked, None),
    };
    let same = |owner: &Owner| {
        owner.name.replace('-', "_") == name.replace('-', "_")
            && (version.is_none() || owner.version.as_deref() == version)
    };
    // Of several versions the largest.
    let entry = contents.crates.iter().find(|c| same(&c.owner))?;
    let graph = &contents.graph;
    let id = contents.owner_ids.iter().find(|(owner, _)| *owner == entry.owner)?.1;
    let mut fits = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        if node.owner == id && (node.is_function || !node.names.is_empty()) {
            fits.push((index, Fit::Itself));
        } else if node.parts.iter().any(|(owner, _)| *owner == id) {
            let prefix = format!("{}::", name.replace('-', "_"));
            let of_it = node.inlined.iter().find(|i| {
                let name = &graph.inlined[**i as usize];
                name.trim_start_matches('<').starts_with(&prefix)
            });
            fits.push((index, of_it.map_or(Fit::Code, |name| Fit::Inlined(*name))));
        }
    }
    Some((entry.owner.clone(), fits))
}

/// The nodes that have a name, or into which a function of that name was inlined: the name as a whole, or else its last
/// parts, or else a module's.
fn find_name(graph: &Graph, asked: &str) -> Vec<(usize, Fit)> {
    let asked = asked.trim();
    let is_end = |name: &str| name.strip_suffix(asked).is_some_and(|rest| rest.ends_with("::") || rest.ends_with('<'));
    let is_module = |name: &str| {
        name.match_indices(asked).any(|(at, _)| {
            let (before, after) = (&name[..at], &name[at + asked.len()..]);
            after.starts_with("::") && !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
        })
    };
    if asked.is_empty() {
        return Vec::new();
    }
    let tests: [&dyn Fn(&str) -> bool; 3] = [&|name| name == asked, &is_end, &is_module];
    for test in tests {
        let is_inlined: Vec<bool> = graph.inlined.iter().map(|name| test(name)).collect();
        let fit = |(index, node): (usize, &super::graph::Node)| {
            if node.names.iter().any(|name| test(name)) || node.symbols.iter().any(|name| test(name)) {
                return Some((index, Fit::Itself));
            }
            node.inlined.iter().find(|i| is_inlined[**i as usize]).map(|i| (index, Fit::Inlined(*i)))
        };
        let fits: Vec<_> = graph.nodes.iter().enumerate().filter_map(fit).collect();
        if !fits.is_empty() {
            return fits;
        }
    }
    Vec::new()
}

/// The nodes from a root to this one.
fn way(graph: &Graph, node: usize) -> Option<Vec<usize>> {
    let mut nodes = vec![node];
    let mut at = node;
    while let Some(from) = graph.reached_from[at]? {
        nodes.push(from);
        at = from;
    }
    nodes.reverse();
    Some(nodes)
}

fn step(graph: &Graph, from: Option<usize>, to: usize) -> Step {
    let edge = from.and_then(|from| graph.edges[from].iter().find(|edge| edge.to == to));
    let node = &graph.nodes[to];
    let pointers = graph.edges[to].len();
    let name = match node.names.first() {
        Some(name) => name.clone(),
        None if pointers > 1 => format!("a table that points to {pointers} others"),
        None => "a constant".into(),
    };
    let line = edge.and_then(|e| e.line).map(|(file, line)| (graph.files[file as usize].clone(), line));
    Step { name, how: edge.map(|e| e.how), line, is_inlined: false, bytes: node.length }
}

fn brings(graph: &Graph, own: &BTreeSet<usize>) -> u64 {
    let addresses: BTreeSet<u64> = own.iter().map(|node| graph.nodes[*node].address).collect();
    let reached = graph.reached_without(|node| addresses.contains(&node.address));
    let is_lost =
        |(index, node): &(usize, &super::graph::Node)| graph.is_reached(*index) && !reached[*index] && !node.is_zero;
    graph.nodes.iter().enumerate().filter(is_lost).map(|(_, node)| node.length).sum()
}

/// Crates and functions of similar names, the most similar first.
fn near(contents: &Contents, asked: &str) -> Vec<String> {
    let crates = contents.crates.iter().map(|c| c.owner.name.as_str());
    let graph = &contents.graph;
    let names = graph.nodes.iter().flat_map(|n| &n.names).chain(&graph.inlined);
    // The last parts of a path, as many as were asked for, are what a person misspells; or the last one.
    let parts = asked.matches("::").count() + 1;
    let tail = |name: &'_ str, parts: usize| name.rmatch_indices("::").nth(parts - 1).map_or(0, |(at, _)| at + 2);
    let last = &asked[tail(asked, 1)..];
    let tails = names.flat_map(|name| [&name[tail(name, parts)..], &name[tail(name, 1)..]]);
    let is_word = |name: &&str| !name.is_empty() && !name.contains(['{', '<', '(', ' ']);
    let all: BTreeSet<&str> = crates.chain(tails).filter(is_word).collect();
    let mut scored: Vec<(f64, &str)> = all
        .into_iter()
        .map(|name| {
            let score = |to: &str| strsim::normalized_damerau_levenshtein(&to.to_lowercase(), &name.to_lowercase());
            (score(asked).max(score(last)), name)
        })
        .filter(|(score, _)| *score >= 0.7)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    scored.into_iter().take(5).map(|(_, name)| format!("`{name}`")).collect()
}
