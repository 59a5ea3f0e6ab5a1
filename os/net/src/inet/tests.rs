//! Two stacks on a simulated link.
