//! `symbolize(back_trace)`: the documented table's hexadecimal stack as names, innermost first, one frame a line.
//!
//! A stack does not say whose it is. It is looked for among the stacks of all recorded processes; each address of one that is
//! not found, in the process that has a module there, unless several could be meant.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, AsArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use heapql_registry::{Modules, Source, State};

use crate::names::Namers;
use crate::tables::{Scope, sources};

/// The documented table shows this many.
const FRAMES: usize = 16;
/// The longest text that is looked at, in addresses.
const MOST_ADDRESSES: usize = 256;

struct Symbolize {
    signature: Signature,
    scope: Arc<Scope>,
    /// Made when the first stack is asked for, for the statement.
    index: Arc<OnceLock<Index>>,
}

pub(super) fn symbolize(scope: &Arc<Scope>) -> ScalarUDF {
    // Volatile: what is recorded changes, and planning must not read files.
    let signature = Signature::string(1, Volatility::Volatile);
    let function = Symbolize { signature, scope: Arc::clone(scope), index: Arc::default() };
    AsyncScalarUDF::new(Arc::new(function)).into_scalar_udf()
}

impl std::fmt::Debug for Symbolize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("symbolize")
    }
}

impl PartialEq for Symbolize {
    fn eq(&self, _: &Symbolize) -> bool {
        true
    }
}

impl Eq for Symbolize {}

impl Hash for Symbolize {
    fn hash<H: Hasher>(&self, state: &mut H) {
        "symbolize".hash(state);
    }
}

impl ScalarUDFImpl for Symbolize {
    fn name(&self) -> &str {
        "symbolize"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(DataFusionError::Internal("symbolize only runs asynchronously".to_owned()))
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Symbolize {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let stacks = cast(&ColumnarValue::values_to_arrays(&args.args)?[0], &DataType::Utf8)?;
        let (scope, index) = (Arc::clone(&self.scope), Arc::clone(&self.index));
        // It opens files: not on the threads that serve.
        let texts = tokio::task::spawn_blocking(move || texts(index.get_or_init(|| Index::new(&scope)), &stacks)).await;
        let texts = texts.map_err(|defect| DataFusionError::Internal(format!("no stack could be named: {defect}")))?;
        Ok(ColumnarValue::Array(texts?))
    }
}

fn texts(index: &Index, stacks: &ArrayRef) -> Result<ArrayRef> {
    let mut texts = StringBuilder::new();
    for stack in stacks.as_string::<i32>() {
        match stack {
            None => texts.append_null(),
            Some(text) => texts.append_value(index.text(&addresses(text)?)),
        }
    }
    Ok(Arc::new(texts.finish()))
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
    sources: Vec<(Arc<Source>, Modules)>,
    /// Of the first frames of a stack, and of all: the place of its source, and its module generation.
    stacks: HashMap<Box<[u64]>, (usize, u16)>,
    namers: Mutex<Namers>,
}

impl Index {
    fn new(scope: &Scope) -> Index {
        let mut index =
            Index { sources: Vec::new(), stacks: HashMap::new(), namers: Mutex::new(Namers::new(&scope.server)) };
        for (source, callsites) in sources::readable_where(scope, |_| true) {
            let place = index.sources.len();
            for callsite in callsites.iter().filter(|callsite| scope.tenant.sees(callsite.tenant_id)) {
                for stack in [&callsite.stack[..callsite.stack.len().min(FRAMES)], &callsite.stack[..]] {
                    index.stacks.entry(stack.into()).or_insert((place, callsite.module_generation));
                }
            }
            let modules = source.modules().unwrap_or_default();
            index.sources.push((source, modules));
        }
        index
    }

    fn text(&self, stack: &[u64]) -> String {
        let mut namers = self.namers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((place, generation)) = self.stacks.get(stack) {
            return namers.of(&self.sources[*place].0).stack_text(stack, *generation);
        }
        let line = |address: &u64| match self.only(*address) {
            Some((source, modules)) => namers.of(source).stack_text(&[*address], modules.generation()),
            None => format!("{address:#x}"),
        };
        stack.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// The process whose module lies at an address: a living one first, the server last. None if different files could be
    /// meant.
    fn only(&self, address: u64) -> Option<(&Source, &Modules)> {
        let order = |source: &Source| (source.is_own(), source.state() != State::Alive);
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
