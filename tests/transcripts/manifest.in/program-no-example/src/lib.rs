//! Nothing: the program is a dependency's.
