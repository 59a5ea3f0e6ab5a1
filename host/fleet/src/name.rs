//! The name of a machine: safe as a file's name, as a word of a command line, and to look at.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes that a name may have.
const LENGTH_MAX: usize = 63;

/// A machine's name: letters and digits of ASCII, `-`, `_` and `.`, the first one a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {LENGTH_MAX} letters, digits, `-`, `_` and `.`, of which the first is a letter or a digit")]
pub struct NotAName;

impl Name {
    /// Reads a name.
    ///
    /// # Errors
    /// [`NotAName`].
    pub fn parse(text: &str) -> Result<Self, NotAName> {
        let is_inner = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let is_good = text.len() <= LENGTH_MAX
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(is_inner);
        if is_good { Ok(Name(text.to_owned())) } else { Err(NotAName) }
    }

    /// A name made from any text, such as a package's name: what does not fit is left out.
    pub fn like(text: &str) -> Self {
        let fitting: String = text.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
        let fitting = fitting.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        Name::parse(&fitting[..fitting.len().min(LENGTH_MAX)]).unwrap_or_else(|_| Name("machine".into()))
    }

    /// The same name with a number: `web`, `web-2`, `web-3`.
    pub(crate) fn numbered(&self, number: u32) -> Self {
        let suffix = if number <= 1 { String::new() } else { format!("-{number}") };
        let kept = self.0.len().min(LENGTH_MAX - suffix.len());
        Name(format!("{}{suffix}", &self.0[..kept]))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = NotAName;

    fn try_from(text: String) -> Result<Self, NotAName> {
        Name::parse(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe() {
        for text in ["web", "web-2", "a.b_c", "7up", &"x".repeat(63)] {
            assert_eq!(Name::parse(text).map(String::from).as_deref(), Ok(text));
        }
        for text in ["", ".", "..", ".web", "-f", "_a", "a/b", "../a", "a b", "a\0", "é", "a\n", &"x".repeat(64)] {
            assert_eq!(Name::parse(text), Err(NotAName), "{text:?}");
        }
    }

    #[test]
    fn any_text_gives_a_name() {
        for (text, name) in [("web", "web"), ("-é-web one", "webone"), ("", "machine"), ("..", "machine")] {
            assert_eq!(Name::like(text).as_str(), name);
        }
        let longest = Name::like(&"x".repeat(100));
        assert_eq!(longest.as_str().len(), 63);
        let numbered = longest.numbered(12);
        assert!(numbered.as_str().ends_with("x-12") && Name::parse(numbered.as_str()).is_ok());
        assert_eq!(Name::like("web").numbered(1).as_str(), "web");
    }
}
