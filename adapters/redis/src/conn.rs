//! Connections to Redis: to a single node, or to all nodes of a Redis Cluster.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ProtocolVersion, PushInfo, RedisError, RedisResult, Value,
    aio::MultiplexedConnection,
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo},
};
use socketio_adapter::internal::lock;
use tokio::time::timeout;

use crate::nodes::Addresses;

/// Time limits for Redis.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// For a connection.
    pub(crate) connection: Duration,
    /// For a response.
    pub(crate) response: Duration,
}

/// The target of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The first node that responds. In a Redis Cluster, plain pub/sub works on any node, and
    /// messages over one node stay in order.
    OneNode,
    /// The node that holds the key of a command.
    EveryNode,
}

/// Receives the messages that Redis sends unasked. Must not block.
pub(crate) type OnPush = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// Opens connections.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    addresses: Addresses,
    timeouts: Timeouts,
    /// Why the last attempt to connect failed. Shared by all clones.
    last_error: Arc<Mutex<Option<Arc<RedisError>>>>,
}

/// A connection. Clones share it.
#[derive(Clone)]
pub(crate) enum Conn {
    Node(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connector {
    pub(crate) fn new(addresses: Addresses, timeouts: Timeouts) -> Self {
        Self { addresses, timeouts, last_error: Arc::default() }
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.addresses.cluster
    }

    /// Allows more time for responses, for blocking commands.
    pub(crate) fn with_extra_response_time(mut self, by: Duration) -> Self {
        self.timeouts.response += by;
        self
    }

    pub(crate) async fn connect(
        &self,
        target: Target,
        on_push: OnPush,
    ) -> Result<Conn, Arc<RedisError>> {
        let connected = self.try_to_connect(target, on_push).await.map_err(Arc::new);
        let last_error = connected.as_ref().err().cloned();
        *lock(&self.last_error) = last_error;
        connected
    }

    /// Returns why the last attempt to connect failed, if it did.
    pub(crate) fn last_error(&self) -> Option<Arc<RedisError>> {
        lock(&self.last_error).clone()
    }

    async fn try_to_connect(&self, target: Target, on_push: OnPush) -> RedisResult<Conn> {
        if self.addresses.cluster && target == Target::EveryNode {
            return self.cluster(on_push).await.map(Conn::Cluster);
        }
        let mut refused = None;
        for node in &self.addresses.nodes {
            let on_push = on_push.clone();
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(self.timeouts.connection))
                .set_response_timeout(Some(self.timeouts.response))
                .set_push_sender(move |info| {
                    on_push(info);
                    Ok::<_, ()>(())
                });
            let client = Client::open(node.clone())?;
            match client.get_multiplexed_async_connection_with_config(&config).await {
                Ok(conn) => return Ok(Conn::Node(conn)),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or_else(timed_out))
    }

    async fn cluster(&self, on_push: OnPush) -> RedisResult<ClusterConnection> {
        let builder = ClusterClient::builder(self.addresses.nodes.clone())
            .use_protocol(ProtocolVersion::RESP3)
            .connection_timeout(self.timeouts.connection)
            .response_timeout(self.timeouts.response)
            .overall_response_timeout(Some(self.timeouts.response))
            .retries(3)
            .push_sender(move |info| {
                on_push(info);
                Ok::<_, ()>(())
            });
        #[cfg(feature = "tls")]
        let builder = match &self.addresses.certificates {
            Some(certificates) => builder.certs(certificates.clone()),
            None => builder,
        };
        let client = builder.build()?;
        let all = self.timeouts.connection * 3;
        timeout(all, client.get_async_connection()).await.unwrap_or_else(|_| Err(timed_out()))
    }
}

impl Conn {
    pub(crate) async fn query(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        let response = match self {
            Self::Node(conn) => conn.send_packed_command(cmd).await,
            Self::Cluster(conn) => cmd.query_async(conn).await,
        };
        response.and_then(Value::extract_error)
    }

    /// Sends several commands in one batch. Returns their responses in the same order.
    pub(crate) async fn query_all(
        &mut self,
        cmds: Vec<Cmd>,
    ) -> RedisResult<Vec<RedisResult<Value>>> {
        match self {
            Self::Node(conn) => {
                let count = cmds.len();
                let mut pipeline = redis::pipe();
                for cmd in cmds {
                    pipeline.add_command(cmd);
                }
                let responses = conn.send_packed_commands(&pipeline, 0, count).await?;
                Ok(responses.into_iter().map(Value::extract_error).collect())
            }
            // Commands to several nodes would have no order, so they are sent one by one.
            Self::Cluster(_) => {
                let mut responses = Vec::with_capacity(cmds.len());
                for cmd in &cmds {
                    responses.push(Box::pin(self.query(cmd)).await);
                }
                Ok(responses)
            }
        }
    }

    /// Sends a command to all nodes, or to all masters. Returns the sum of the numbers in their
    /// responses.
    pub(crate) async fn sum_of_nodes(&mut self, cmd: Cmd, masters: bool) -> RedisResult<usize> {
        let nodes = match masters {
            true => MultipleNodeRoutingInfo::AllMasters,
            false => MultipleNodeRoutingInfo::AllNodes,
        };
        let response = self.query_nodes(cmd, nodes).await;
        response.and_then(Value::extract_error).map(|response| total(&response))
    }

    /// Returns how many subscriptions to sharded channels the nodes of a Redis Cluster have for this
    /// connection. `None` if a node does not tell: the user lacks a permission, or Redis is older
    /// than 7.0.3.
    pub(crate) async fn count_subscriptions(&mut self) -> RedisResult<Option<usize>> {
        let mut info = redis::cmd("CLIENT");
        info.arg("INFO");
        let response = self.query_nodes(info, MultipleNodeRoutingInfo::AllNodes).await?;
        Ok(subscriptions(&response))
    }

    /// Sends a command to several nodes. The response is a map of their responses.
    async fn query_nodes(
        &mut self,
        cmd: Cmd,
        nodes: MultipleNodeRoutingInfo,
    ) -> RedisResult<Value> {
        match self {
            Self::Node(conn) => conn.send_packed_command(&cmd).await,
            Self::Cluster(conn) => {
                conn.route_command(cmd, RoutingInfo::MultiNode((nodes, None))).await
            }
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

/// Returns whether an error makes the connection useless. The connection to a Redis Cluster repairs
/// itself.
pub(crate) fn is_fatal(conn: &Conn, error: &RedisError) -> bool {
    !conn.is_cluster()
        && (error.is_unrecoverable_error()
            || error.is_io_error()
            || error.is_timeout()
            || error.code() == Some("READONLY"))
}

pub(crate) fn timed_out() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_cluster() { "Conn::Cluster" } else { "Conn::Node" })
    }
}

/// Returns the sum of all numbers in a response: a list, a map, or one map per node.
fn total(response: &Value) -> usize {
    match response {
        Value::Int(number) => usize::try_from(*number).unwrap_or_default(),
        Value::Array(items) => items.iter().map(total).sum(),
        Value::Map(members) => members.iter().map(|(_, value)| total(value)).sum(),
        _ => 0,
    }
}

/// Returns the sum of the field `ssub` in the responses of all nodes to CLIENT INFO.
fn subscriptions(response: &Value) -> Option<usize> {
    let Value::Map(nodes) = response else { return None };
    let count = |(_, info): &(Value, Value)| {
        let info = match info {
            Value::VerbatimString { text, .. } => text,
            Value::BulkString(text) => std::str::from_utf8(text).ok()?,
            _ => return None,
        };
        info.split(' ').find_map(|field| field.strip_prefix("ssub="))?.parse::<usize>().ok()
    };
    nodes.iter().map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_of_all_nodes_are_added_unless_one_does_not_tell() {
        let name = || Value::BulkString(b"c".to_vec());
        let info = |text: &str| (name(), Value::BulkString(text.into()));
        let (one, two) = (info("id=1 psub=7 ssub=2 multi=-1"), info("id=2 ssub=3 multi=-1"));
        assert_eq!(subscriptions(&Value::Map(vec![one.clone(), two])), Some(5));
        assert_eq!(subscriptions(&Value::Map(vec![one.clone(), info("id=1 psub=7")])), None);
        assert_eq!(subscriptions(&Value::Map(vec![one, (name(), Value::Nil)])), None);
    }

    #[test]
    fn numbers_of_all_nodes_are_added() {
        let name = || Value::BulkString(b"c".to_vec());
        let list = Value::Array(vec![name(), Value::Int(2)]);
        let map = Value::Map(vec![(name(), Value::Int(1))]);
        let nodes = Value::Map(vec![(name(), list), (name(), map), (name(), Value::Nil)]);
        assert_eq!(total(&nodes), 3);
        assert_eq!(total(&Value::Int(-1)), 0);
    }
}
