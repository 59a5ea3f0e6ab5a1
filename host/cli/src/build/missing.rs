//! A symbol that the library OS lacks, told as that and not as five screens of linker.
//!
//! Two linkers are understood, in the words they use:
//! ```text
//! rust-lld: error: undefined symbol: getpwuid_r
//! >>> referenced by unix.rs:12 (/cargo/registry/…)
//! >>>               /…/deps/web-1a2b.web.3c4d-cgu.0.rcgu.o:(web::main::h0123)
//!
//! /usr/bin/ld: /…/deps/libusers-1a2b.rlib(users.o): in function `users::base::current_user':
//! base.rs:12:(.text+0x1): undefined reference to `getpwuid_r'
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;

/// What the linker missed and who wanted it, if that is why it failed.
pub(super) fn explain(errors: &str) -> Option<String> {
    let missing = find(errors);
    if missing.is_empty() {
        return None;
    }
    let mut text = String::from("the library OS lacks what the program asks for");
    for (symbol, wanted_by) in &missing {
        let by = wanted_by.as_deref().map_or(String::new(), |by| format!(", wanted by the crate `{by}`"));
        _ = write!(text, "\n  {symbol}{by}");
    }
    text.push_str(if missing.contains_key("main") || missing.keys().any(|symbol| symbol.starts_with("__libc_start")) {
        "\nA package that depends on `ampoule` needs the line `use ampoule as _;` in its main.rs."
    } else {
        "\nLeave out the feature or the crate that needs it, or offer the symbol in os/libc. \
         A package that depends on `ampoule` needs the line `use ampoule as _;` in its main.rs."
    });
    Some(text)
}

/// Symbols, each with the crate that wants it where the linker gives a hint.
fn find(errors: &str) -> BTreeMap<String, Option<String>> {
    let mut missing: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut place = String::new(); // GNU ld names it before the symbol
    let mut symbol = None; // lld after it
    for line in errors.lines() {
        if let Some((_, name)) = line.split_once("undefined symbol: ") {
            missing.entry(name.trim().to_owned()).or_default();
            symbol = Some(name.trim().to_owned());
        } else if let Some((_, referrer)) = line.split_once(">>> ") {
            let wanted = symbol.as_ref().and_then(|symbol| missing.get_mut(symbol));
            if let Some(wanted @ None) = wanted {
                *wanted = crate_of(referrer);
            }
        } else if line.contains("in function `") {
            line.clone_into(&mut place);
        } else if let Some((before, name)) = line.split_once("undefined reference to `") {
            let name = name.trim_end().trim_end_matches('\'').to_owned();
            let wanted = missing.entry(name).or_default();
            if wanted.is_none() {
                *wanted = crate_of(&place).or_else(|| crate_of(before));
            }
        }
    }
    missing
}

/// The crate behind a function or an object file that the linker names.
fn crate_of(place: &str) -> Option<String> {
    let function = place.split_once("in function `").or_else(|| place.split_once(":(")).map(|(_, function)| function);
    let from_function = function.and_then(|function| {
        let path = function.trim_start_matches(['<', '&', ' ']);
        let (name, _) = path.split_once("::")?;
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        (is_name && !["core", "alloc"].contains(&name)).then(|| name.to_owned())
    });
    from_function.or_else(|| {
        // `…/libring-0123456789abcdef.rlib(x.o)`: an object of that crate, such as its C code.
        let file = place.split(".rlib").next().filter(|file| file.len() < place.len())?;
        let name = file.rsplit('/').next()?.strip_prefix("lib")?;
        Some(name.rsplit_once('-').map_or(name, |(name, _)| name).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lld_is_understood() {
        let errors = "error: linking with `cc` failed: exit status: 1\n  \
            = note: rust-lld: error: undefined symbol: getpwuid_r\n          \
            >>> referenced by base.rs:12 (/x/base.rs:12)\n          \
            >>>               /x/deps/web-1a.web.2b-cgu.0.rcgu.o:(users::base::current::h01)\n          \
            >>> the symbol is defined elsewhere\n\n          \
            rust-lld: error: undefined symbol: fork\n          \
            >>> referenced by curve.c\n          \
            >>>               curve.o:(x) in archive /x/deps/libring-0011.rlib\n";
        let found = find(errors);
        assert_eq!(found["getpwuid_r"].as_deref(), Some("users"));
        assert_eq!(found["fork"].as_deref(), Some("ring"));
    }

    #[test]
    fn gnu_ld_is_understood() {
        let errors = "/usr/bin/ld: /x/libusers-1a.rlib(users.o): in function `<users::Cache as users::T>::get':\n\
            base.rs:12:(.text+0x1): undefined reference to `getpwuid_r'\n\
            /usr/bin/ld: /x/deps/libring-99.rlib(c.o): in function `x':\n\
            c.c:(.text+0x2): undefined reference to `fork'\n";
        let found = find(errors);
        assert_eq!(found["getpwuid_r"].as_deref(), Some("users"));
        assert_eq!(found["fork"].as_deref(), Some("ring"));
        let text = explain(errors).expect("explained");
        assert!(text.contains("\n  fork, wanted by the crate `ring`\n"), "{text}");
    }

    #[test]
    fn other_errors_are_left_alone() {
        assert_eq!(explain("error[E0425]: cannot find value `x` in this scope"), None);
    }
}
