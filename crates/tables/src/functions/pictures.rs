//! `flamegraph_svg`, `flamegraph_html`, `folded` and `pprof`: the heap as a picture or a file, in one value.
//!
//! Arguments are optional from the right, and NULL is as good as none: `(value, pid, label, from, to)` of the flame graphs,
//! `(value, pid, label)` of `folded`, `(pid, label)` of `pprof`. With `from`, a mark or a time, a flame graph shows what
//! changed since, or until `to`. All servers' processes are in it; each finds the moments by their names.

use std::sync::Arc;

use crate::functions::async_function::{AsyncBody, async_function};
use async_trait::async_trait;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, Signature, TypeSignature, Volatility};
use datafusion::scalar::ScalarValue;
use heapql_profile::{FlameGraph, FlameOptions, Profile, UnknownValue, Value, folded, pprof};

use crate::TableScope;
use crate::heap;
use crate::heap::ProfileFilter;
use heapql_server::failure::{Failure, FailureKind};

/// In which form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Svg,
    Html,
    Folded,
    Pprof,
}

/// The bytes that all values of one batch may take.
const MOST_BYTES: usize = 256 << 20;

/// The arguments of one call.
#[derive(Clone, Default, PartialEq, Eq)]
struct Call {
    value: Value,
    wanted: ProfileFilter,
    from: Option<String>,
    to: Option<String>,
}

enum Rendered {
    Text(String),
    Bytes(Vec<u8>),
}

struct Picture {
    name: &'static str,
    /// Names of the arguments.
    arguments: &'static [&'static str],
    answer: DataType,
    form: Form,
    scope: Arc<TableScope>,
}

/// All four.
pub(crate) fn pictures(scope: &Arc<TableScope>) -> [ScalarUDF; 4] {
    const FLAME: &[&str] = &["value", "pid", "label", "from", "to"];
    let picture = |name, arguments, answer: DataType, form| {
        // Volatile: each statement looks anew.
        let signature =
            Signature::one_of(vec![TypeSignature::Nullary, TypeSignature::VariadicAny], Volatility::Volatile);
        let body = Picture { name, arguments, answer: answer.clone(), form, scope: Arc::clone(scope) };
        async_function(name, signature, answer, body)
    };
    [
        picture("flamegraph_svg", FLAME, DataType::Utf8, Form::Svg),
        picture("flamegraph_html", FLAME, DataType::Utf8, Form::Html),
        picture("folded", &FLAME[..3], DataType::Utf8, Form::Folded),
        picture("pprof", &FLAME[1..3], DataType::Binary, Form::Pprof),
    ]
}

/// One value: what all servers have is asked for, then drawn.
async fn picture(scope: &Arc<TableScope>, form: Form, call: Call) -> Result<Rendered, Failure> {
    let is_change = call.from.is_some();
    if call.to.is_some() && !is_change {
        let hint = "flamegraph_svg('live_bytes', NULL, NULL, 'before', 'after')";
        return Err(wrong("'to' is without 'from'").hint(hint));
    }
    if is_change && call.value == Value::TotalBytes {
        return Err(wrong("history has no total_bytes").hint("compare live_bytes, live_count or total_count"));
    }
    let is_total = matches!(call.value, Value::TotalBytes | Value::TotalCount);
    let wanted = ProfileFilter {
        // A callsite of which nothing is left is part of the difference.
        with_freed: is_total || is_change || form == Form::Pprof,
        process_frames: form != Form::Pprof,
        ..call.wanted.clone()
    };
    let moments = if is_change { vec![call.from.clone(), call.to.clone()] } else { vec![None] };
    let profiles = heap::profiles(scope, &wanted, moments).await?;
    let drawn = tokio::task::spawn_blocking(move || drawn(form, &call, profiles)).await;
    let defect = || Failure::new(FailureKind::Internal, "the picture could not be drawn");
    drawn.ok().flatten().ok_or_else(defect)
}

/// None without a profile.
fn drawn(form: Form, call: &Call, profiles: Vec<Profile>) -> Option<Rendered> {
    let options = FlameOptions::of(call.value);
    let mut profiles = profiles.into_iter();
    let (first, second) = (profiles.next()?, profiles.next());
    let flame = || match (&call.from, second) {
        (Some(from), Some(after)) => difference(from, call.to.as_deref(), first.clone(), after, options),
        _ => FlameGraph::new(&first, options),
    };
    Some(match form {
        Form::Svg => Rendered::Text(flame().svg()),
        Form::Html => Rendered::Text(flame().html()),
        Form::Folded => Rendered::Text(folded(&first, call.value)),
        Form::Pprof => Rendered::Bytes(pprof(&first)),
    })
}

fn difference(
    from: &str,
    to: Option<&str>,
    mut before: Profile,
    mut after: Profile,
    options: FlameOptions,
) -> FlameGraph {
    before.title = from.to_owned();
    after.title = format!("{} of {}", to.unwrap_or("now"), after.title);
    let growth = match to {
        Some(to) => format!("growth({}, {})", quoted(from), quoted(to)),
        None => format!("growth({})", quoted(from)),
    };
    after.query = Some(format!("SELECT * FROM {growth} ORDER BY est_bytes_growth DESC LIMIT 20;"));
    FlameGraph::difference(&before, &after, options)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn wrong(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Query, message)
}

impl Picture {
    /// The call of each row of the arguments.
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

    async fn made(&self, calls: Vec<Call>) -> Result<ArrayRef> {
        let mut made: Vec<Rendered> = Vec::with_capacity(calls.len());
        let mut bytes = 0;
        for call in calls {
            let one = picture(&self.scope, self.form, call).await?;
            bytes += one.bytes().len();
            self.check_size(bytes)?;
            made.push(one);
        }
        Ok(match self.answer {
            DataType::Binary => Arc::new(BinaryArray::from_iter_values(made.iter().map(Rendered::bytes))),
            _ => Arc::new(StringArray::from_iter_values(made.iter().map(Rendered::text))),
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

impl Rendered {
    fn bytes(&self) -> &[u8] {
        match self {
            Rendered::Text(text) => text.as_bytes(),
            Rendered::Bytes(bytes) => bytes,
        }
    }

    fn text(&self) -> &str {
        match self {
            Rendered::Text(text) => text,
            Rendered::Bytes(_) => "",
        }
    }
}

#[async_trait]
impl AsyncBody for Picture {
    async fn run(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        // Then one is made, and repeated for every row.
        let is_same_for_all = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let count = if is_same_for_all { rows.min(1) } else { rows };
        let arrays = args.args.iter().map(|argument| argument.to_array(count)).collect::<Result<Vec<_>>>()?;
        let mut calls = self.calls(&arrays)?;
        calls.truncate(count);
        let made = self.made(calls).await?;
        if made.len() == rows {
            return Ok(ColumnarValue::Array(made));
        }
        self.check_size(made.get_array_memory_size().saturating_mul(rows))?;
        Ok(ColumnarValue::Array(ScalarValue::try_from_array(&made, 0)?.to_array_of_size(rows)?))
    }
}
