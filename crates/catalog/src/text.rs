//! SQL text before it is a tree: tokens, splitting, LIKE patterns. Nothing here knows what a statement means.

pub(crate) mod like;
pub(crate) mod split;
pub(crate) mod tokens;
