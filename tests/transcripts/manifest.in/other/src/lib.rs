//! A library whose examples others may seal.
