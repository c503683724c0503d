//! SQL text before it is a tree: tokens, splitting, the words around SET. Nothing here knows what a statement means.

pub(crate) mod nesting;
pub(crate) mod split;
pub(crate) mod tokens;
pub(crate) mod words;
