//! Where `unsafe` stands in a package's sources.
//!
//! Counted are lines of code inside `unsafe` blocks and inside the bodies of unsafe functions; lines without a token, comments
//! and declarations are not. It is read from the tokens alone, so that it sees into macros and into code that is not
//! compiled here, tests among it: what a crate's author had to argue for.

use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;

use image::record::UnsafeFile;
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// The files below `folder` that hold any, by paths from `package`; `None` if they cannot be read.
pub(super) fn files(package: &Path, folder: &Path) -> Option<Vec<UnsafeFile>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).ok()? {
            let entry = entry.ok()?;
            let (path, kind) = (entry.path(), entry.file_type().ok()?);
            if kind.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let Ok(text) = std::fs::read_to_string(&path) else { continue };
                let lines = if text.contains("unsafe") { runs(&lines(&text)) } else { Vec::new() };
                if let (false, Ok(below)) = (lines.is_empty(), path.strip_prefix(package)) {
                    files.push(UnsafeFile { path: below.to_string_lossy().into_owned(), lines });
                }
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Some(files)
}

/// The lines of one file. A file that is no Rust (a template, a test of the compiler) has none.
fn lines(text: &str) -> BTreeSet<u32> {
    let mut lines = BTreeSet::new();
    if let Ok(stream) = TokenStream::from_str(text) {
        walk(stream, false, &mut lines);
    }
    proc_macro2::extra::invalidate_current_thread_spans();
    lines
}

fn walk(stream: TokenStream, is_unsafe: bool, lines: &mut BTreeSet<u32>) {
    let mut tokens = stream.into_iter().peekable();
    // The next braces are an unsafe function's body.
    let mut is_body_next = false;
    while let Some(token) = tokens.next() {
        if is_attribute(&token) && matches!(tokens.peek(), Some(TokenTree::Group(_))) {
            // Documentation is one, too.
            tokens.next();
            continue;
        }
        match token {
            TokenTree::Ident(ident) if ident == "unsafe" => {
                is_body_next = false;
                match tokens.next_if(is_braces) {
                    Some(TokenTree::Group(block)) => inside(&block, lines),
                    _ => is_body_next = is_function(&mut tokens),
                }
            }
            TokenTree::Group(group) if is_body_next && group.delimiter() == Delimiter::Brace => {
                is_body_next = false;
                inside(&group, lines);
            }
            TokenTree::Group(group) if is_unsafe => inside(&group, lines),
            TokenTree::Group(group) => walk(group.stream(), false, lines),
            other => {
                is_body_next &= !matches!(&other, TokenTree::Punct(punct) if punct.as_char() == ';');
                if is_unsafe {
                    lines.extend(other.span().start().line as u32..=other.span().end().line as u32);
                }
            }
        }
    }
}

fn inside(group: &Group, lines: &mut BTreeSet<u32>) {
    lines.extend([group.span_open().start().line as u32, group.span_close().end().line as u32]);
    walk(group.stream(), true, lines);
}

fn is_attribute(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == '#')
}

fn is_braces(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

/// After `unsafe`: is it `fn NAME` or `extern "C" fn NAME`, and not a type, an `impl`, a block of declarations?
fn is_function(tokens: &mut std::iter::Peekable<proc_macro2::token_stream::IntoIter>) -> bool {
    let is_word =
        |word: &'static str| move |token: &TokenTree| matches!(token, TokenTree::Ident(ident) if ident == word);
    if tokens.next_if(is_word("extern")).is_some() {
        tokens.next_if(|token| matches!(token, TokenTree::Literal(_)));
    }
    tokens.next_if(is_word("fn")).is_some() && matches!(tokens.peek(), Some(TokenTree::Ident(_)))
}

fn runs(lines: &BTreeSet<u32>) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &line in lines {
        match runs.last_mut() {
            Some(last) if last.1 + 1 == line => last.1 = line,
            _ => runs.push((line, line)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_bodies_count() {
        let text = "\
fn safe() {
    let x = unsafe { *p };
    // SAFETY: a comment
    unsafe {

        // another
        f(1,
          2);
    }
}
unsafe fn whole(p: *const u8) -> u8
where
    u8: Copy,
{
    *p
}
unsafe extern \"C\" fn door() { f() }
";
        assert_eq!(runs(&lines(text)), [(2, 2), (4, 4), (7, 9), (14, 17)]);
    }

    #[test]
    fn declarations_do_not() {
        let text = "\
unsafe impl Send for X {}
unsafe trait T { unsafe fn f(&self); fn g() { h() } }
unsafe extern \"C\" { fn f(); }
#[unsafe(no_mangle)] fn x() { y() }
type F = unsafe fn(u8); fn z() { y() }
unsafe impl Sync for X { fn a() {} }
/// unsafe { }
fn doc() {}
";
        assert_eq!(runs(&lines(text)), []);
    }

    #[test]
    fn macros_are_looked_into() {
        assert_eq!(runs(&lines("macro_rules! m { () => {\nunsafe { $x }\n} }")), [(2, 2)]);
        assert_eq!(runs(&lines("this is } not Rust unsafe {")), []);
    }
}
