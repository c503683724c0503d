//! Authentication of requests on the cluster's port, before a byte of a body is read. Without a secret every request passes, and
//! the port is on loopback only.
//!
//! Proofs are `secret`'s. `service` wraps the Flight service with this one.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{self, BoxFuture, Either, FutureExt, Ready};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::transport::server::TlsConnectInfo;

use crate::counts::RefusalCounts;
use crate::incoming::ConnectionPermit;
use crate::secret::{HEADER, ProofError, Secret};

type Request = http::Request<Body>;
type Response = http::Response<Body>;

#[derive(Clone)]
pub(crate) struct Authenticator<S> {
    inner: S,
    secret: Option<Secret>,
    counts: Arc<RefusalCounts>,
}

impl<S> Authenticator<S> {
    pub(crate) fn new(inner: S, secret: Option<Secret>, counts: Arc<RefusalCounts>) -> Authenticator<S> {
        Authenticator { inner, secret, counts }
    }

    /// Returns the proof for the answer, or None without a secret.
    fn check(&self, request: &Request) -> Result<Option<http::HeaderValue>, Status> {
        let Some(secret) = &self.secret else {
            return Ok(None);
        };
        match secret.check(request.uri().path(), request.headers().get(HEADER)) {
            Ok(proof) => Ok(Some(proof)),
            Err(ProofError::Invalid) => {
                RefusalCounts::add(&self.counts.strangers, 1);
                Err(Status::unauthenticated(""))
            }
            Err(ProofError::ClockSkew(ahead)) => {
                RefusalCounts::add(&self.counts.clocks, 1);
                Err(Status::unauthenticated(format!("its clock is {} s off", ahead.unsigned_abs())))
            }
        }
    }
}

impl<S> Service<Request> for Authenticator<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<BoxFuture<'static, Result<Response, Infallible>>, Ready<Result<Response, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let proof = match self.check(&request) {
            Ok(proof) => proof,
            Err(status) => return Either::Right(future::ready(Ok(status.into_http()))),
        };
        let plain = request.extensions().get::<ConnectionPermit>();
        let encrypted = || request.extensions().get::<TlsConnectInfo<ConnectionPermit>>().map(TlsConnectInfo::get_ref);
        plain.or_else(encrypted).into_iter().for_each(ConnectionPermit::mark_authenticated);
        let answer = self.inner.call(request);
        let proved = answer.map(|answer| {
            answer.map(|mut answer| {
                proof.into_iter().for_each(|proof| drop(answer.headers_mut().insert(HEADER, proof)));
                answer
            })
        });
        Either::Left(proved.boxed())
    }
}
