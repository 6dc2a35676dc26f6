//! Connections to Redis: to one node, or to every node that a key may be on.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ProtocolVersion, PushInfo, RedisError, RedisResult, Value,
    aio::MultiplexedConnection,
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo},
};
use tokio::time::timeout;

use crate::nodes::Addresses;

/// How long Redis may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For a connection.
    pub(crate) connection: Duration,
    /// For an answer.
    pub(crate) response: Duration,
}

/// Where a connection leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To one node, whichever answers first. In a Redis Cluster plain publish and subscribe are the same on every node,
    /// and what takes the way over one node stays in order.
    OneNode,
    /// To the node that a command's key is on.
    EveryNode,
}

/// Gets what Redis says unasked. It must not block.
pub(crate) type OnPush = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// Makes connections.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    addresses: Addresses,
    patience: Patience,
    /// Why there was none when one was wanted last, of all clones.
    refusal: Arc<Mutex<Option<Arc<RedisError>>>>,
}

/// A connection. A clone shares it.
#[derive(Clone)]
pub(crate) enum Conn {
    Node(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Dial {
    pub(crate) fn new(addresses: Addresses, patience: Patience) -> Self {
        Self { addresses, patience, refusal: Arc::default() }
    }

    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    pub(crate) fn is_cluster(&self) -> bool {
        self.addresses.cluster
    }

    /// One whose answers may take longer than others' do.
    pub(crate) fn slower(mut self, by: Duration) -> Self {
        self.patience.response += by;
        self
    }

    pub(crate) async fn connect(
        &self,
        reach: Reach,
        on_push: OnPush,
    ) -> Result<Conn, Arc<RedisError>> {
        let connected = self.try_to_connect(reach, on_push).await.map_err(Arc::new);
        let refusal = connected.as_ref().err().cloned();
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
        connected
    }

    /// Why the last attempt to connect failed, if it did.
    pub(crate) fn refusal(&self) -> Option<Arc<RedisError>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn try_to_connect(&self, reach: Reach, on_push: OnPush) -> RedisResult<Conn> {
        if self.addresses.cluster && reach == Reach::EveryNode {
            return self.cluster(on_push).await.map(Conn::Cluster);
        }
        let mut refused = None;
        for node in &self.addresses.nodes {
            let on_push = on_push.clone();
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(self.patience.connection))
                .set_response_timeout(Some(self.patience.response))
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
            .connection_timeout(self.patience.connection)
            .response_timeout(self.patience.response)
            .overall_response_timeout(Some(self.patience.response))
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
        let all = self.patience.connection * 3;
        timeout(all, client.get_async_connection()).await.unwrap_or_else(|_| Err(timed_out()))
    }
}

impl Conn {
    pub(crate) async fn query(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        let answer = match self {
            Self::Node(conn) => conn.send_packed_command(cmd).await,
            Self::Cluster(conn) => cmd.query_async(conn).await,
        };
        answer.and_then(Value::extract_error)
    }

    /// Several commands in one go. The answer of each, in their order.
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
                let answers = conn.send_packed_commands(&pipeline, 0, count).await?;
                Ok(answers.into_iter().map(Value::extract_error).collect())
            }
            // Where they go to several nodes there is no order among them.
            Self::Cluster(_) => {
                let mut answers = Vec::with_capacity(cmds.len());
                for cmd in &cmds {
                    answers.push(Box::pin(self.query(cmd)).await);
                }
                Ok(answers)
            }
        }
    }

    /// Asks every node, and adds up the numbers that they answer.
    pub(crate) async fn sum(&mut self, cmd: Cmd, masters: bool) -> RedisResult<usize> {
        let answer = match self {
            Self::Node(conn) => conn.send_packed_command(&cmd).await,
            Self::Cluster(conn) => {
                let nodes = if masters {
                    MultipleNodeRoutingInfo::AllMasters
                } else {
                    MultipleNodeRoutingInfo::AllNodes
                };
                conn.route_command(cmd, RoutingInfo::MultiNode((nodes, None))).await
            }
        };
        answer.and_then(Value::extract_error).map(|answer| total(&answer))
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

/// Whether a connection has become useless. That of a Redis Cluster mends itself.
pub(crate) fn breaks(conn: &Conn, error: &RedisError) -> bool {
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

/// All numbers in an answer: of a list, of a map, or of a map per node.
fn total(answer: &Value) -> usize {
    match answer {
        Value::Int(number) => usize::try_from(*number).unwrap_or_default(),
        Value::Array(items) => items.iter().map(total).sum(),
        Value::Map(members) => members.iter().map(|(_, value)| total(value)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_all_nodes_are_added_up() {
        let name = || Value::BulkString(b"c".to_vec());
        let list = Value::Array(vec![name(), Value::Int(2)]);
        let map = Value::Map(vec![(name(), Value::Int(1))]);
        let nodes = Value::Map(vec![(name(), list), (name(), map), (name(), Value::Nil)]);
        assert_eq!(total(&nodes), 3);
        assert_eq!(total(&Value::Int(-1)), 0);
    }
}
