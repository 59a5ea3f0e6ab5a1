//! The C symbols that the library OS offers: functions that keep their names (`#[unsafe(no_mangle)]`), those among them that
//! its own macros write.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::str::FromStr;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Those below a folder.
pub(super) fn offered(folder: &Path) -> io::Result<BTreeSet<String>> {
    let mut texts = Vec::new();
    read(folder, &mut texts)?;
    Ok(in_texts(&texts))
}

fn read(folder: &Path, texts: &mut Vec<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read(&path, texts)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push(std::fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

fn in_texts(texts: &[String]) -> BTreeSet<String> {
    let streams: Vec<TokenStream> = texts.iter().filter_map(|text| TokenStream::from_str(text).ok()).collect();
    let mut found = Found::default();
    streams.iter().for_each(|stream| found.macros(stream.clone()));
    streams.iter().for_each(|stream| found.functions(stream.clone()));
    proc_macro2::extra::invalidate_current_thread_spans();
    found.symbols
}

#[derive(Default)]
struct Found {
    symbols: BTreeSet<String>,
    /// Macros that define such functions.
    macros: BTreeSet<String>,
}

impl Found {
    /// `macro_rules! NAME { … no_mangle … }`
    fn macros(&mut self, stream: TokenStream) {
        let all: Vec<TokenTree> = stream.into_iter().collect();
        for window in all.windows(4) {
            if let [TokenTree::Ident(word), _, TokenTree::Ident(name), TokenTree::Group(body)] = window
                && word == "macro_rules"
                && body.stream().to_string().contains("no_mangle")
            {
                self.macros.insert(name.to_string());
            }
        }
    }

    fn functions(&mut self, stream: TokenStream) {
        let all: Vec<TokenTree> = stream.into_iter().collect();
        let mut is_next = false;
        for (at, token) in all.iter().enumerate() {
            match (token, all.get(at + 1), all.get(at + 2)) {
                (TokenTree::Ident(word), Some(TokenTree::Ident(name)), _) if word == "fn" => {
                    self.symbols.extend(is_next.then(|| name.to_string()));
                    is_next = false;
                }
                (TokenTree::Ident(name), Some(TokenTree::Punct(mark)), Some(TokenTree::Group(body)))
                    if mark.as_char() == '!' && self.macros.contains(&name.to_string()) =>
                {
                    self.written_by_macro(body);
                }
                (TokenTree::Group(group), ..) if group.delimiter() == Delimiter::Bracket => {
                    is_next |= keeps_name(group);
                }
                (TokenTree::Group(group), ..) if group.delimiter() == Delimiter::Brace => {
                    is_next = false;
                    self.functions(group.stream());
                }
                (TokenTree::Punct(mark), ..) if mark.as_char() == ';' => is_next = false,
                _ => {}
            }
        }
    }

    /// `fn NAME(…)`, or `NAME(…)`, or names alone.
    fn written_by_macro(&mut self, body: &Group) {
        let all: Vec<TokenTree> = body.stream().into_iter().collect();
        let is_fn = |token: &TokenTree| matches!(token, TokenTree::Ident(word) if word == "fn");
        let is_call =
            |token: &TokenTree| matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis);
        let (has_fn, has_calls) = (all.iter().any(is_fn), all.iter().any(is_call));
        for (at, token) in all.iter().enumerate() {
            let TokenTree::Ident(name) = token else { continue };
            let is_name = match (has_fn, has_calls) {
                (true, _) => at > 0 && is_fn(&all[at - 1]),
                (false, true) => all.get(at + 1).is_some_and(is_call),
                (false, false) => true,
            };
            self.symbols.extend(is_name.then(|| name.to_string()));
        }
    }
}

/// `[unsafe(no_mangle)]`, or `[cfg_attr(…, unsafe(no_mangle))]`.
fn keeps_name(attribute: &Group) -> bool {
    attribute.stream().to_string().contains("no_mangle")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_symbols_are_found() {
        let texts = [
            "#[cfg_attr(x, unsafe(no_mangle))] pub unsafe extern \"C\" fn read(n: i32) { fn not() {} } fn help() {}
             mod m { #[inline] #[no_mangle] fn dup() {} #[no_mangle] static X: u8 = 0; fn after() {} }",
            "macro_rules! door { ($(fn $n:ident)*) => { $(#[unsafe(no_mangle)] fn $n)* } }
             macro_rules! root { ($($n:ident)*) => { $(#[unsafe(no_mangle)] fn $n() {})* } }
             macro_rules! other { ($n:ident) => { fn $n() {} } }",
            "door! { fn close(fd: i32) -> i32 { helped(fd) } } root! { getuid getgid } other! { inner }",
            "macro_rules! functions { ($n:ident) => { #[no_mangle] fn } } functions! { acos(x: f64) -> f64; atan2(y: f64) -> f64; }",
        ];
        let found = in_texts(&texts.map(String::from));
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(found, ["acos", "atan2", "close", "dup", "getgid", "getuid", "read"]);
    }
}
