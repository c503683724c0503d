//! Who may ask: every request on the cluster's port passes here before a byte of its body is read. Without a secret all
//! may, and the port is on loopback only.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{self, BoxFuture, Either, FutureExt, Ready};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::transport::server::TlsConnectInfo;

use crate::counts::Counts;
use crate::incoming::Entrance;
use crate::secret::{HEADER, Refusal, Secret};

type Request = http::Request<Body>;
type Response = http::Response<Body>;

#[derive(Clone)]
pub(crate) struct Gate<S> {
    inner: S,
    secret: Option<Secret>,
    counts: Arc<Counts>,
}

impl<S> Gate<S> {
    pub(crate) fn new(inner: S, secret: Option<Secret>, counts: Arc<Counts>) -> Gate<S> {
        Gate { inner, secret, counts }
    }

    /// What the answer is to prove, if anything.
    fn check(&self, request: &Request) -> Result<Option<http::HeaderValue>, Status> {
        let Some(secret) = &self.secret else {
            return Ok(None);
        };
        match secret.check(request.uri().path(), request.headers().get(HEADER)) {
            Ok(proof) => Ok(Some(proof)),
            Err(Refusal::Unknown) => {
                Counts::add(&self.counts.strangers, 1);
                Err(Status::unauthenticated(""))
            }
            Err(Refusal::Clock(ahead)) => {
                Counts::add(&self.counts.clocks, 1);
                Err(Status::unauthenticated(format!("its clock is {} s off", ahead.unsigned_abs())))
            }
        }
    }
}

impl<S> Service<Request> for Gate<S>
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
        let plain = request.extensions().get::<Entrance>();
        let encrypted = || request.extensions().get::<TlsConnectInfo<Entrance>>().map(TlsConnectInfo::get_ref);
        plain.or_else(encrypted).into_iter().for_each(Entrance::prove);
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
