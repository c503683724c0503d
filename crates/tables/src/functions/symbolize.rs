//! `symbolize(back_trace)`: the documented table's hexadecimal stack as names, innermost first, one frame a line.
//!
//! A stack does not say whose it is. It is looked for among the stacks of all processes recorded here, then on the other servers;
//! each address of one that is not found, in the process here that has a module there, unless several could be meant.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use crate::functions::async_function::{AsyncBody, async_function};
use async_trait::async_trait;
use datafusion::arrow::array::{AsArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, Signature, Volatility};
use heapql_registry::{ModuleMap, Source, SourceState};

use crate::TableScope;
use crate::calls;
use crate::calls::Call;
use heapql_server::symbols::Namers;

/// The documented table shows this many.
const FRAMES: usize = 16;
/// The longest text that is looked at, in addresses.
const MOST_ADDRESSES: usize = 256;
/// So many stacks go to other servers in one call.
const STACKS_IN_A_CALL: usize = 1024;

struct Symbolize {
    scope: Arc<TableScope>,
    /// Rendered when the first stack is asked for, for the statement.
    index: Arc<OnceLock<Index>>,
}

pub(super) fn symbolize(scope: &Arc<TableScope>) -> ScalarUDF {
    // Volatile: what is recorded changes, and planning must not read files.
    let signature = Signature::string(1, Volatility::Volatile);
    let body = Symbolize { scope: Arc::clone(scope), index: Arc::default() };
    async_function("symbolize", signature, DataType::Utf8, body)
}

#[async_trait]
impl AsyncBody for Symbolize {
    async fn run(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let stacks = cast(&args.args[0].to_array(args.number_rows)?, &DataType::Utf8)?;
        let stacks = stacks.as_string::<i32>().iter().map(|text| text.map(addresses).transpose());
        let stacks = stacks.collect::<Result<Vec<_>>>()?;
        let wanted = stacks.iter().flatten().cloned().collect();
        let (mut names, unknown) = self.here(wanted, Index::known).await?;
        let unknown = self.elsewhere(unknown, &mut names).await?;
        let (guessed, _) = self.here(unknown, |index, stack| Some(index.guessed(stack))).await?;
        names.extend(guessed);
        let mut texts = StringBuilder::new();
        stacks.iter().for_each(|stack| texts.append_option(stack.as_ref().and_then(|stack| names.get(stack))));
        Ok(ColumnarValue::Array(Arc::new(texts.finish())))
    }
}

impl Symbolize {
    /// Names the stacks that this server's index knows, and returns those that it does not know.
    async fn here(
        &self,
        stacks: HashSet<Vec<u64>>,
        name: fn(&Index, &[u64]) -> Option<String>,
    ) -> Result<(HashMap<Vec<u64>, String>, HashSet<Vec<u64>>)> {
        let (scope, index) = (Arc::clone(&self.scope), Arc::clone(&self.index));
        if stacks.is_empty() {
            return Ok(Default::default());
        }
        // It opens files: not on the threads that serve.
        let found = tokio::task::spawn_blocking(move || {
            let index = index.get_or_init(|| Index::new(&scope));
            let (mut names, mut unknown) = (HashMap::new(), HashSet::new());
            for stack in stacks {
                match name(index, &stack) {
                    Some(text) => drop(names.insert(stack, text)),
                    None => drop(unknown.insert(stack)),
                }
            }
            (names, unknown)
        });
        found.await.map_err(|defect| DataFusionError::Internal(format!("no stack could be named: {defect}")))
    }

    /// Asks the other servers; the first by its address that knows a stack names it. Returns what none of them knows.
    async fn elsewhere(
        &self,
        unknown: HashSet<Vec<u64>>,
        names: &mut HashMap<Vec<u64>, String>,
    ) -> Result<HashSet<Vec<u64>>> {
        let Some(cluster_query) = &self.scope.cluster_query else {
            return Ok(unknown);
        };
        let stacks: Vec<Vec<u64>> = unknown.into_iter().collect();
        for stacks in stacks.chunks(STACKS_IN_A_CALL) {
            let call = Call::Symbolize { tenant: self.scope.tenant.id(), stacks: stacks.to_vec() };
            for (_, known) in calls::ask::<Vec<Option<String>>>(cluster_query, &call).await? {
                for (stack, text) in stacks.iter().zip(known) {
                    if let Some(text) = text {
                        names.entry(stack.clone()).or_insert(text);
                    }
                }
            }
        }
        Ok(stacks.into_iter().filter(|stack| !names.contains_key(stack)).collect())
    }
}

/// The names of those that processes here have, for another server. Reads files.
pub fn known_stacks(scope: &TableScope, stacks: &[Vec<u64>]) -> Vec<Option<String>> {
    let index = Index::new(scope);
    stacks.iter().map(|stack| index.known(stack)).collect()
}

/// Without the zeros at the end.
fn addresses(text: &str) -> Result<Vec<u64>> {
    let address = |word: &str| {
        let digits = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")).unwrap_or(word);
        u64::from_str_radix(digits, 16).map_err(|_| {
            let shown: String = word.chars().take(32).collect();
            DataFusionError::Execution(format!("symbolize: '{shown}' is no hexadecimal address"))
        })
    };
    let words = text.split([' ', '\n', ',']).filter(|word| !word.is_empty()).take(MOST_ADDRESSES);
    let mut addresses = words.map(address).collect::<Result<Vec<_>>>()?;
    let used = addresses.iter().rposition(|address| *address != 0).map_or(0, |last| last + 1);
    addresses.truncate(used);
    Ok(addresses)
}

struct Index {
    sources: Vec<(Arc<Source>, ModuleMap)>,
    /// The place of a stack's source and its module generation, by the first frames of the stack, and by all.
    stacks: HashMap<Box<[u64]>, (usize, u16)>,
    namers: Mutex<Namers>,
}

impl Index {
    fn new(scope: &TableScope) -> Index {
        let mut index =
            Index { sources: Vec::new(), stacks: HashMap::new(), namers: Mutex::new(scope.server.namers()) };
        for (source, callsites) in scope.visible().callsites(|_| true, |_| true) {
            let place = index.sources.len();
            for callsite in &callsites {
                for stack in [&callsite.stack[..callsite.stack.len().min(FRAMES)], &callsite.stack[..]] {
                    index.stacks.entry(stack.into()).or_insert((place, callsite.module_generation));
                }
            }
            let modules = source.modules().unwrap_or_default();
            index.sources.push((source, modules));
        }
        index
    }

    fn namers(&self) -> MutexGuard<'_, Namers> {
        self.namers.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// If some process has the stack.
    fn known(&self, stack: &[u64]) -> Option<String> {
        let (place, generation) = self.stacks.get(stack)?;
        Some(self.namers().of(&self.sources[*place].0).stack_text(stack, *generation))
    }

    /// Address by address.
    fn guessed(&self, stack: &[u64]) -> String {
        let mut namers = self.namers();
        let line = |address: &u64| match self.only(*address) {
            Some((source, modules)) => namers.of(source).stack_text(&[*address], modules.generation()),
            None => format!("{address:#x}"),
        };
        stack.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// The process whose module lies at an address: a living one first, the server last. None if different files could be
    /// meant.
    fn only(&self, address: u64) -> Option<(&Source, &ModuleMap)> {
        let order = |source: &Source| (source.is_own(), source.state() != SourceState::Alive);
        for wanted in [(false, false), (false, true), (true, false)] {
            let here = self.sources.iter().filter(|(source, _)| order(source) == wanted);
            let mut found = here.filter_map(|(source, modules)| {
                let (module, offset) = modules.locate(address, modules.generation())?;
                Some((source, modules, (&module.path, &module.build_id, offset)))
            });
            if let Some((source, modules, place)) = found.next() {
                return found.all(|(_, _, other)| other == place).then_some((&**source, modules));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_address() {
        assert_eq!(addresses("0x10 0x2F 0 0x3 0x0 0x0").expect("addresses"), [0x10, 0x2f, 0, 3]);
        assert!(addresses("").expect("none").is_empty());
        for wrong in ["main", "0x", "0x1g", "0x10000000000000000", "-1"] {
            assert!(addresses(wrong).is_err(), "{wrong}");
        }
    }
}
