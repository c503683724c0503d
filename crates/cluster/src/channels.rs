//! Connections to the other servers.
use std::net::SocketAddr;

use arrow_flight::flight_service_client::FlightServiceClient;
use tonic::Status;
use tonic::transport::Channel;

pub(crate) struct Channels;

impl Channels {
    pub(crate) fn client(&self, _: SocketAddr) -> FlightServiceClient<Channel> {
        FlightServiceClient::new(Channel::from_static("http://127.0.0.1:1").connect_lazy())
    }
}

/// In plain words.
pub(crate) fn why(status: &Status) -> String {
    status.message().to_owned()
}
