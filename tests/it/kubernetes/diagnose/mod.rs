//! What is broken, and why.

mod check_service;
mod resource;
mod unhealthy;

use serde_json::Value;

use super::Shop;
use crate::cluster::{document, eventually};
use crate::harness::Answer;

/// The answer to somebody who is refused, is given the right to look, and asks again.
async fn once_allowed(shop: &Shop, tool: &str, arguments: Value) -> Answer {
    let weak = shop.weak().await;
    let refused = weak.fail(tool, arguments.clone()).await;
    assert!(refused.contains("`kubernetes_check_permissions`"), "{refused}");
    shop.apply(&document("viewer.yaml").unwrap()).await;
    let allowed = eventually("the right to look", async || {
        let answer = weak.call(tool, arguments.clone()).await;
        if answer.failed { Err(answer.text) } else { Ok(answer) }
    });
    allowed.await.unwrap()
}
