//! HTTP answers: status, headers, and the form of failures. It runs no statement.

use std::convert::Infallible;

use bytes::Bytes;
use heapql_profile::escaped;
use heapql_server::Failure;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};

use crate::codes::status;

/// A complete or streamed body. An error in it breaks the connection, so that a client cannot take a part for the whole.
pub(super) type Body = UnsyncBoxBody<Bytes, Failure>;

/// The content of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ContentKind {
    Text,
    Json,
    Csv,
    /// A page without a script.
    Page,
    /// A page that brings its own policy.
    Sealed,
    Svg,
    /// A profile in gzip.
    Pprof,
    Metrics,
}

impl ContentKind {
    fn content_type(self) -> &'static str {
        match self {
            ContentKind::Text => "text/plain; charset=utf-8",
            ContentKind::Json => "application/json",
            ContentKind::Csv => "text/csv; charset=utf-8; header=present",
            ContentKind::Page | ContentKind::Sealed => "text/html; charset=utf-8",
            ContentKind::Svg => "image/svg+xml",
            ContentKind::Pprof => "application/octet-stream",
            ContentKind::Metrics => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    fn policy(self) -> &'static str {
        match self {
            ContentKind::Page => {
                "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
            }
            ContentKind::Svg => "default-src 'none'; style-src 'unsafe-inline'",
            ContentKind::Sealed => "frame-ancestors 'none'",
            _ => "default-src 'none'",
        }
    }
}

pub(super) fn whole(kind: ContentKind, bytes: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(bytes.into()).map_err(|never: Infallible| match never {});
    with(StatusCode::OK, kind, body.boxed_unsync())
}

pub(super) fn with(status: StatusCode, kind: ContentKind, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers: [(HeaderName, &'static str); 7] = [
        (CONTENT_TYPE, kind.content_type()),
        (CONTENT_SECURITY_POLICY, kind.policy()),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

pub(super) fn refused(status: StatusCode, why: &str, hint: Option<&str>) -> Response<Body> {
    let hint = hint.map_or_else(String::new, |hint| format!("hint: {hint}\n"));
    let mut response = whole(ContentKind::Text, format!("error: {why}\n{hint}"));
    *response.status_mut() = status;
    response
}

/// The answer for a failure, with the status of its kind in `codes`.
pub(super) fn failed(failure: &Failure) -> Response<Body> {
    let status = StatusCode::from_u16(status(failure.kind)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    refused(status, &failure.message, failure.hint.as_deref())
}

/// Renders an HTML table.
pub(super) fn table(
    columns: &[String],
    rows: &[Vec<Option<String>>],
    cell: impl Fn(&str, &str) -> Option<String>,
) -> String {
    let mut html = String::from("<table>\n<tr>");
    columns.iter().for_each(|column| html.push_str(&format!("<th>{}</th>", escaped(column))));
    html.push_str("</tr>\n");
    for row in rows {
        html.push_str("<tr>");
        for (column, value) in columns.iter().zip(row) {
            let text = value.as_deref().unwrap_or("NULL");
            html.push_str(&format!("<td>{}</td>", cell(column, text).unwrap_or_else(|| escaped(text))));
        }
        html.push_str("</tr>\n");
    }
    html + "</table>\n"
}
