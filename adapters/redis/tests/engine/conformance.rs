//! The conformance suite of all adapters, with each adapter on a Redis server and on a Redis
//! Cluster.

use std::sync::Arc;

use engines::{Redis, RedisCluster};
use socketio_adapter::ClusterAdapter;

use crate::{
    Adapter, Nodes, RedisAdapter, SubscriptionMode,
    suite::{Reaches, Servers},
};

/// Starts three servers. If the rooms have channels, a room is reached once its channel is
/// subscribed to.
async fn servers(make: impl Fn() -> Adapter, mode: SubscriptionMode) -> Servers {
    let adapters: Vec<Adapter> = (0..3).map(|_| make()).collect();
    let all = adapters.iter().map(|adapter| adapter.clone() as Arc<dyn ClusterAdapter>).collect();
    let weak: Vec<_> = adapters.iter().map(Arc::downgrade).collect();
    drop(adapters);
    let reaches: Reaches = Arc::new(move |server, nsp, room| {
        let has_channel = match mode {
            SubscriptionMode::DynamicPrivate => true,
            SubscriptionMode::Dynamic => room.len() != 20,
            _ => false,
        };
        let subscribed =
            |adapter: Adapter| adapter.is_subscribed(&format!("socket.io#{nsp}#{room}#"));
        !has_channel || weak[server].upgrade().is_some_and(subscribed)
    });
    Servers::new(all, reaches).await
}

macro_rules! on {
    ($($name:ident: $engine:ident, $nodes:ident, $mode:ident, $adapter:expr;)*) => { $(
        mod $name {
            use super::*;

            async fn start() -> (Servers, $engine) {
                let engine = $engine::start().unwrap();
                let nodes = $nodes(&engine);
                let make = |nodes: Nodes| -> Adapter { $adapter(nodes) };
                (servers(|| make(nodes.clone()), SubscriptionMode::$mode).await, engine)
            }

            crate::conformance_suite!(start);
        }
    )* };
}

fn one(engine: &Redis) -> Nodes {
    engine.url().into()
}

fn all(engine: &RedisCluster) -> Nodes {
    engine.urls().into()
}

fn sharded(nodes: Nodes, mode: SubscriptionMode) -> Adapter {
    RedisAdapter::sharded(nodes).subscription_mode(mode).build().unwrap()
}

on! {
    classic: Redis, one, Static, |nodes| RedisAdapter::classic(nodes).build().unwrap();
    classic_with_specific_response_channel: Redis, one, Static, |nodes| {
        RedisAdapter::classic(nodes).publish_on_specific_response_channel(true).build().unwrap()
    };
    sharded_dynamic: Redis, one, Dynamic, |nodes| sharded(nodes, SubscriptionMode::Dynamic);
    sharded_private: Redis, one, DynamicPrivate, |nodes| {
        sharded(nodes, SubscriptionMode::DynamicPrivate)
    };
    sharded_static: Redis, one, Static, |nodes| sharded(nodes, SubscriptionMode::Static);
    streams: Redis, one, Static, |nodes| RedisAdapter::streams(nodes).build().unwrap();
    streams_of_three: Redis, one, Static, |nodes| {
        RedisAdapter::streams(nodes).stream_count(3_u16).use_sharded_pub_sub(true).build().unwrap()
    };
    classic_in_a_cluster: RedisCluster, all, Static, |nodes| {
        RedisAdapter::classic(nodes).build().unwrap()
    };
    // With a channel per room, messages over channels on different nodes have no order.
    sharded_in_a_cluster: RedisCluster, all, Static, |nodes| {
        sharded(nodes, SubscriptionMode::Static)
    };
    streams_in_a_cluster: RedisCluster, all, Static, |nodes| {
        RedisAdapter::streams(nodes).build().unwrap()
    };
}
