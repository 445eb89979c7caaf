//! How the kinds of a cluster are found.

use futures_util::future::join_all;
use serde_json::json;

use super::proxy::Proxy;
use crate::harness::Service;
use crate::stack::cluster;

#[tokio::test]
async fn calls_that_begin_together_ask_once_which_kinds_there_are() {
    let Some(cluster) = cluster().await else { return };
    let proxy = Proxy::start(cluster).await;
    let service = Service::start(&proxy.configuration()).await;
    let arguments = json!({"kind": "namespaces", "limit": 1});
    join_all((0..8).map(|_| service.succeed("kubernetes_list_resources", arguments.clone()))).await;
    assert_eq!((proxy.seen("list", "/api"), proxy.seen("list", "/apis")), (1, 1));
    assert!(proxy.seen("list", "/api/v1/namespaces") > 0, "the calls went through the proxy");
}
