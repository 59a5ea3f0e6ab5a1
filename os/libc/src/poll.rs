//! (doors of `posix`, being written)
