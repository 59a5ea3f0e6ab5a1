//! Which calls are to be shown.

use super::{CALLS, Call, Family};

/// What the operator wants to see: words, parted by commas, each of which adds to what is shown or, after a `!`, takes
/// away. A word is a [`Family`]'s name, a call's, or `all`. Where the first takes away, and where there is none, everything
/// that is shown by default is there to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter<'a>(&'a str);

/// A word that is neither a family's nor a call's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownWord<'a>(pub &'a str);

impl<'a> Filter<'a> {
    /// Reads it.
    ///
    /// # Errors
    /// A word that nothing is called.
    pub fn parse(text: &'a str) -> Result<Self, UnknownWord<'a>> {
        let known = |word: &str| CALLS.iter().any(|call| concerns(word, call)) || word == "all";
        match words(text).map(|(_, word)| word).find(|word| !known(word)) {
            Some(word) => Err(UnknownWord(word)),
            None => Ok(Self(text)),
        }
    }

    /// The same where nobody can be told of a wrong word: it changes nothing.
    pub fn of_known(text: &'a str) -> Self {
        Self(text)
    }

    /// Is this call to be shown?
    pub fn wants(&self, call: &Call) -> bool {
        let adds = words(self.0).next().is_some_and(|(adds, _)| adds);
        let begin = !adds && call.family.by_default();
        words(self.0).filter(|(_, word)| *word == "all" || concerns(word, call)).fold(begin, |_, (adds, _)| adds)
    }
}

/// Each word, and whether it adds.
fn words(text: &str) -> impl Iterator<Item = (bool, &str)> {
    let all = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    all.map(|word| word.strip_prefix('!').map_or((true, word), |word| (false, word)))
}

fn concerns(word: &str, call: &Call) -> bool {
    word == call.name || word == call.symbol || Family::ALL.iter().any(|f| f.name() == word && *f == call.family)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, name: &str) -> bool {
        let call = CALLS.iter().find(|call| call.symbol == name).expect("a call");
        Filter::parse(text).expect("known words").wants(call)
    }

    #[test]
    fn everything_but_the_heap_and_locks_by_default() {
        assert!(shown("", "read") && shown("", "open64") && shown("", "clock_gettime"));
        assert!(!shown("", "malloc") && !shown("", "pthread_mutex_lock"));
        assert!(shown("all", "malloc"));
    }

    #[test]
    fn words_add_and_take_away() {
        assert!(shown("net", "socket") && !shown("net", "read") && !shown("net", "open64"));
        assert!(shown("net,read", "read") && shown("open", "open64") && shown("open64", "open64"));
        assert!(!shown("!time", "clock_gettime") && shown("!time", "read"));
        assert!(!shown("!time", "malloc"));
        assert!(!shown("all,!heap", "malloc") && shown("all,!heap", "pthread_mutex_lock"));
        assert!(shown("!desc,read", "read") && !shown("!desc,read", "write"));
    }

    #[test]
    fn a_word_that_nothing_is_called_is_named() {
        assert_eq!(Filter::parse("net,opne"), Err(UnknownWord("opne")));
        assert_eq!(Filter::parse("!nte"), Err(UnknownWord("nte")));
        assert!(Filter::parse("").is_ok());
    }
}
