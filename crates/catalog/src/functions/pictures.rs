//! `flamegraph_svg`, `flamegraph_html`, `folded` and `pprof`: the heap as a picture or a file, in one value.
//!
//! Arguments are optional from the right, and NULL is as good as none: `(value, pid, label, from, to)` of the flame graphs,
//! `(value, pid, label)` of `folded`, `(pid, label)` of `pprof`. With `from`, a mark or a time, a flame graph shows what
//! changed since, or until `to`.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use datafusion::scalar::ScalarValue;
use heapql_profile::{Flame, Options, Profile, UnknownValue, Value, folded, pprof};

use crate::failure::{Failure, FailureKind};
use crate::heap::{self, Wanted};
use crate::tables::Scope;

/// What all values of one batch may take.
const MOST_BYTES: usize = 256 << 20;

/// The arguments of one call.
#[derive(Clone, Default, PartialEq, Eq)]
struct Call {
    value: Value,
    wanted: Wanted,
    from: Option<String>,
    to: Option<String>,
}

enum Made {
    Text(String),
    Bytes(Vec<u8>),
}

struct Picture {
    name: &'static str,
    /// Names of the arguments.
    arguments: &'static [&'static str],
    answer: DataType,
    make: fn(&Scope, &Call) -> Result<Made, Failure>,
    signature: Signature,
    scope: Arc<Scope>,
}

/// All four.
pub(crate) fn pictures(scope: &Arc<Scope>) -> [ScalarUDF; 4] {
    const FLAME: &[&str] = &["value", "pid", "label", "from", "to"];
    let picture = |name, arguments, answer, make| {
        // Volatile: each statement looks anew.
        let signature =
            Signature::one_of(vec![TypeSignature::Nullary, TypeSignature::VariadicAny], Volatility::Volatile);
        ScalarUDF::new_from_impl(Picture { name, arguments, answer, make, signature, scope: Arc::clone(scope) })
    };
    [
        picture("flamegraph_svg", FLAME, DataType::Utf8, |scope, call| Ok(Made::Text(flame(scope, call)?.svg()))),
        picture("flamegraph_html", FLAME, DataType::Utf8, |scope, call| Ok(Made::Text(flame(scope, call)?.html()))),
        picture("folded", &FLAME[..3], DataType::Utf8, |scope, call| {
            Ok(Made::Text(folded(&profile(scope, call, true), call.value)))
        }),
        picture("pprof", &FLAME[1..3], DataType::Binary, |scope, call| {
            Ok(Made::Bytes(pprof(&profile(scope, call, false))))
        }),
    ]
}

fn profile(scope: &Scope, call: &Call, process_frames: bool) -> Profile {
    let with_freed = matches!(call.value, Value::TotalBytes | Value::TotalCount) || !process_frames;
    heap::profile(scope, &Wanted { with_freed, process_frames, ..call.wanted.clone() }, None)
}

fn flame(scope: &Scope, call: &Call) -> Result<Flame, Failure> {
    let options = Options::of(call.value);
    let Some(from) = &call.from else {
        return match &call.to {
            Some(_) => {
                Err(wrong("'to' is without 'from'").hint("flamegraph_svg('live_bytes', NULL, NULL, 'before', 'after')"))
            }
            None => Ok(Flame::new(&profile(scope, call, true), options)),
        };
    };
    if call.value == Value::TotalBytes {
        return Err(wrong("history has no total_bytes").hint("compare live_bytes, live_count or total_count"));
    }
    let earlier = scope.server.moment(from)?;
    let later = call.to.as_deref().map(|to| scope.server.moment(to)).transpose()?;
    if later.as_ref().is_some_and(|later| later.at < earlier.at) {
        return Err(wrong("'to' is before 'from'").hint("the earlier moment comes first"));
    }
    // A callsite of which nothing is left is part of the difference.
    let wanted = Wanted { with_freed: true, process_frames: true, ..call.wanted.clone() };
    let mut before = heap::profile(scope, &wanted, Some(&earlier));
    let mut after = heap::profile(scope, &wanted, later.as_deref());
    before.title = from.clone();
    after.title = format!("{} of {}", call.to.as_deref().unwrap_or("now"), after.title);
    after.query = Some(match &call.to {
        Some(to) => {
            format!("SELECT * FROM growth({}, {}) ORDER BY est_bytes_growth DESC LIMIT 20;", quoted(from), quoted(to))
        }
        None => format!("SELECT * FROM growth({}) ORDER BY est_bytes_growth DESC LIMIT 20;", quoted(from)),
    });
    Ok(Flame::difference(&before, &after, options))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn wrong(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Query, message)
}

impl Picture {
    /// Of each row of the arguments.
    fn calls(&self, arrays: &[ArrayRef]) -> Result<Vec<Call>> {
        if arrays.len() > self.arguments.len() {
            let message = format!("{}({}) was given {} arguments", self.name, self.arguments.join(", "), arrays.len());
            return Err(wrong(message).hint("every argument may be left out or NULL").into());
        }
        let rows = arrays.first().map_or(1, |array| array.len());
        let mut calls = vec![Call::default(); rows];
        for (name, array) in self.arguments.iter().zip(arrays) {
            if *name == "pid" {
                let pids = cast(array, &DataType::Int64)?;
                let pids = pids.as_primitive::<Int64Type>();
                calls.iter_mut().zip(pids).for_each(|(call, pid)| call.wanted.pid = pid);
                continue;
            }
            let texts = cast(array, &DataType::Utf8)?;
            for (call, text) in calls.iter_mut().zip(texts.as_string::<i32>()) {
                call.set(name, text)?;
            }
        }
        Ok(calls)
    }

    fn made(&self, calls: &[Call]) -> Result<ArrayRef> {
        let mut made: Vec<Made> = Vec::with_capacity(calls.len());
        let mut bytes = 0;
        for call in calls {
            let one = (self.make)(&self.scope, call)?;
            bytes += one.bytes().len();
            self.check_size(bytes)?;
            made.push(one);
        }
        Ok(match self.answer {
            DataType::Binary => Arc::new(BinaryArray::from_iter_values(made.iter().map(Made::bytes))),
            _ => Arc::new(StringArray::from_iter_values(made.iter().map(Made::text))),
        })
    }

    fn check_size(&self, bytes: usize) -> Result<(), Failure> {
        if bytes <= MOST_BYTES {
            return Ok(());
        }
        let message = format!("{} makes more than {MOST_BYTES} bytes in one statement", self.name);
        Err(Failure::new(FailureKind::OutOfMemory, message).hint("ask for one value at a time, without FROM"))
    }
}

impl Call {
    fn set(&mut self, name: &str, text: Option<&str>) -> Result<(), Failure> {
        let Some(text) = text else { return Ok(()) };
        let owned = || Some(text.to_owned());
        match name {
            "value" => self.value = text.parse().map_err(|UnknownValue(name)| unknown_value(name))?,
            "label" => self.wanted.label = owned(),
            "from" => self.from = owned(),
            _ => self.to = owned(),
        }
        Ok(())
    }
}

fn unknown_value(name: String) -> Failure {
    wrong(UnknownValue(name).to_string()).hint("for example: SELECT flamegraph_svg('live_bytes')")
}

impl Made {
    fn bytes(&self) -> &[u8] {
        match self {
            Made::Text(text) => text.as_bytes(),
            Made::Bytes(bytes) => bytes,
        }
    }

    fn text(&self) -> &str {
        match self {
            Made::Text(text) => text,
            Made::Bytes(_) => "",
        }
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Picture {
    fn eq(&self, other: &Picture) -> bool {
        self.name == other.name
    }
}

impl Eq for Picture {}

impl Hash for Picture {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Picture {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.answer.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_same_for_all = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        if !is_same_for_all {
            return Ok(ColumnarValue::Array(self.made(&self.calls(&arrays)?)?));
        }
        let arrays: Vec<ArrayRef> = arrays.iter().map(|array| array.slice(0, 1)).collect();
        let made = self.made(&self.calls(&arrays)?)?;
        // The engine repeats it for every row.
        self.check_size(made.get_array_memory_size().saturating_mul(args.number_rows))?;
        Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?))
    }
}
