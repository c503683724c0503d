//! The paths, their parameters and their answers. An unknown parameter is an error, because the answer would be to another question.
//! Statements are run by `query`.

use std::collections::HashMap;
use std::time::Duration;

use datafusion::scalar::ScalarValue;
use heapql_profile::{UnknownValue, Value};
use heapql_server::{Failure, FailureKind};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::timeout;

use super::access::{HEALTH, SQL};
use super::query::{QueryClient, StreamFormat};
use super::reply::{Body, ContentKind, failed, refused, whole};
use super::{metrics, page};

/// Maximum size of a statement that is sent as a body.
const MAX_BODY: usize = 1 << 20;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const PATHS: &str = "there is /, /flamegraph, /debug/pprof/heap, /folded, /sql, /metrics and /healthz";

pub(super) async fn answer(request: Request<Incoming>, client: QueryClient) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let is_post = request.method() == Method::POST;
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_read && (!is_post || path != SQL) {
        let mut refusal = refused(StatusCode::METHOD_NOT_ALLOWED, "this method is not for this path", None);
        let allowed = if path == SQL { "GET, HEAD, POST" } else { "GET, HEAD" };
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        return refusal;
    }
    let answer = match path.as_str() {
        HEALTH => Ok(whole(ContentKind::Text, "ok\n")),
        SQL => sql(request, &client).await,
        _ => get(&path, QueryParameters::new(request.uri().query()), &client).await,
    };
    answer.unwrap_or_else(|failure| failed(&failure))
}

async fn get(path: &str, mut parameters: QueryParameters, client: &QueryClient) -> Result<Response<Body>, Failure> {
    match path {
        "/" => {
            parameters.end()?;
            Ok(whole(ContentKind::Page, page::index(client).await))
        }
        "/flamegraph" => flamegraph(parameters, client).await,
        "/debug/pprof/heap" => {
            let arguments = vec![parameters.pid()?, parameters.text("label")];
            // `go tool pprof` adds these. They do not matter for a heap that is always recorded.
            parameters.text("seconds");
            parameters.text("gc");
            parameters.end()?;
            let mut answer = whole(ContentKind::Pprof, client.value("SELECT pprof(?, ?)", arguments).await?);
            let name = HeaderValue::from_static("attachment; filename=\"heap.pb.gz\"");
            answer.headers_mut().insert(CONTENT_DISPOSITION, name);
            Ok(answer)
        }
        "/folded" => {
            let arguments = vec![parameters.value()?, parameters.pid()?, parameters.text("label")];
            parameters.end()?;
            Ok(whole(ContentKind::Text, client.value("SELECT folded(?, ?, ?)", arguments).await?))
        }
        "/metrics" => {
            parameters.end()?;
            Ok(whole(ContentKind::Metrics, metrics::render(client).await?))
        }
        _ => Ok(refused(StatusCode::NOT_FOUND, &format!("there is no '{path}'"), Some(PATHS))),
    }
}

async fn flamegraph(mut parameters: QueryParameters, client: &QueryClient) -> Result<Response<Body>, Failure> {
    let (kind, statement) = match parameters.take("format").as_deref() {
        None | Some("html") => (ContentKind::Sealed, "SELECT flamegraph_html(?, ?, ?, ?, ?)"),
        Some("svg") => (ContentKind::Svg, "SELECT flamegraph_svg(?, ?, ?, ?, ?)"),
        Some(other) => return Err(wrong(format!("format '{other}' is neither html nor svg"))),
    };
    let arguments = vec![
        parameters.value()?,
        parameters.pid()?,
        parameters.text("label"),
        parameters.text("from"),
        parameters.text("to"),
    ];
    parameters.end()?;
    Ok(whole(kind, client.value(statement, arguments).await?))
}

async fn sql(request: Request<Incoming>, client: &QueryClient) -> Result<Response<Body>, Failure> {
    let mut parameters = QueryParameters::new(request.uri().query());
    if request.method() == Method::POST {
        let is_form = request
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form"));
        let body = timeout(BODY_TIMEOUT, Limited::new(request.into_body(), MAX_BODY).collect()).await;
        let late = |_| Failure::new(FailureKind::Timeout, "the request's body took too long");
        let body = body.map_err(late)?.map_err(|error| wrong(format!("cannot read the body: {error}")))?.to_bytes();
        let text = String::from_utf8(body.to_vec()).map_err(|_| wrong("the body is not UTF-8"))?;
        // curl -d calls a bare statement a form, too.
        if is_form && text.starts_with("q=") {
            parameters.0.extend(QueryParameters::new(Some(&text)).0);
        } else {
            parameters.0.insert("q".to_owned(), text);
        }
    }
    let format = match parameters.take("format").as_deref() {
        None | Some("json") => StreamFormat::Json,
        Some("csv") => StreamFormat::Csv,
        Some(other) => return Err(wrong(format!("format '{other}' is neither json nor csv"))),
    };
    let text = parameters
        .take("q")
        .ok_or_else(|| wrong("there is no statement").hint("for example: /sql?q=SELECT+*+FROM+processes&format=csv"))?;
    parameters.end()?;
    client.stream(&text, format).await
}

fn wrong(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Query, message)
}

/// Query-string or form parameters. The last value of a name wins; an empty value counts as absent.
struct QueryParameters(HashMap<String, String>);

impl QueryParameters {
    fn new(query: Option<&str>) -> QueryParameters {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        QueryParameters(pairs.into_owned().filter(|(_, value)| !value.is_empty()).collect())
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn text(&mut self, name: &str) -> ScalarValue {
        ScalarValue::Utf8(self.take(name))
    }

    fn value(&mut self) -> Result<ScalarValue, Failure> {
        let value = self.take("value").map(|name| name.parse::<Value>()).transpose();
        let value = value.map_err(|UnknownValue(name)| wrong(UnknownValue(name).to_string()))?;
        Ok(ScalarValue::Utf8(Some(value.unwrap_or_default().name().to_owned())))
    }

    fn pid(&mut self) -> Result<ScalarValue, Failure> {
        let pid = self.take("pid").map(|text| text.parse().map_err(|_| wrong(format!("pid '{text}' is not a number"))));
        Ok(ScalarValue::Int64(pid.transpose()?))
    }

    fn end(self) -> Result<(), Failure> {
        match self.0.keys().min() {
            None => Ok(()),
            Some(name) => Err(wrong(format!("'{name}' is no parameter of this path"))),
        }
    }
}
