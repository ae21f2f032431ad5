//! Servers that channels send to, and whether each can be reached. Sends nothing.

use std::net::ToSocketAddrs;

use tilth_config::Loaded;

use super::super::facts::ServerFact;
use super::hub::{connect, host_and_port};

pub(super) async fn of(loaded: &Loaded) -> Vec<ServerFact> {
    let mut servers = Vec::new();
    for (channel, url) in loaded.channels.iter().filter_map(|(id, channel)| Some((id, channel.target.url()?))) {
        let (host, port) = host_and_port(url);
        let reached = match (host.as_str(), port).to_socket_addrs().map(Vec::from_iter) {
            Ok(addresses) => connect(&addresses).await,
            Err(error) => Err(error.to_string()),
        };
        servers.push(ServerFact { channel: channel.clone(), address: format!("{host}:{port}"), reached });
    }
    servers
}
