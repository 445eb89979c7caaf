//! Limits that hold however many replicas there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::json;
use tokio::time::MissedTickBehavior;

use super::Replicas;
use crate::harness::{Service, eventually};
use crate::redis::Server;

/// Units a second, for one caller.
const LIMIT: u32 = 100;

/// Those who call each replica, and how often each of them does: ten times what the limit lets through.
const CALLERS: u32 = 10;
const EVERY: Duration = Duration::from_millis(30);

/// How long is measured, after a while in which what was saved up is used.
const MEASURED: Duration = Duration::from_secs(8);
const BEFORE: Duration = Duration::from_secs(2);

async fn call(service: &Service) -> StatusCode {
    let call = json!({"name": "utilities_get_time", "arguments": {}});
    let response = service.modern("/mcp", "tools/call", call).send().await.unwrap();
    let status = response.status();
    // To its end, so that the connection can be used again.
    response.bytes().await.unwrap();
    status
}

/// Times that Redis was asked to run a script: what a command does within a script is no round trip.
async fn round_trips(redis: &Server) -> u32 {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(&mut redis.look().await).await.unwrap();
    let count = |command: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")))?;
        line.split(',').next()?.parse::<u32>().ok()
    };
    ["evalsha", "script|load"].into_iter().filter_map(count).sum()
}

#[tokio::test]
async fn three_replicas_under_ten_times_the_load_let_through_what_the_limit_says() {
    let config =
        format!("limits:\n  caller:\n    per_second: {LIMIT}\n    burst: {LIMIT}\n  server:\n    per_second: 100000\n");
    let Some(Replicas { all, redis, proxy: _proxy, .. }) = Replicas::start(&config).await else { return };
    let all: Arc<[Service]> = all.into();
    let stop = Arc::new(AtomicBool::new(false));
    let callers = (0..all.len()).flat_map(|replica| (0..CALLERS).map(move |_| replica)).map(|replica| {
        let (all, stop) = (all.clone(), stop.clone());
        tokio::spawn(async move {
            let mut calls = Vec::new();
            let mut turns = tokio::time::interval(EVERY);
            turns.set_missed_tick_behavior(MissedTickBehavior::Skip);
            while !stop.load(Ordering::Relaxed) {
                turns.tick().await;
                calls.push((call(&all[replica]).await, Instant::now()));
            }
            calls
        })
    });
    let callers: Vec<_> = callers.collect();
    tokio::time::sleep(BEFORE).await;
    let (begin, trips) = (Instant::now(), round_trips(&redis).await);
    tokio::time::sleep(MEASURED).await;
    let (end, trips) = (Instant::now(), round_trips(&redis).await - trips);
    stop.store(true, Ordering::Relaxed);
    let calls: Vec<_> = join_all(callers).await.into_iter().flat_map(Result::unwrap).collect();
    let measured = calls.iter().filter(|(_, at)| (begin..end).contains(at));
    let (admitted, refused): (Vec<_>, Vec<_>) = measured.partition(|(status, _)| status.is_success());
    assert!(refused.iter().all(|(status, _)| *status == StatusCode::TOO_MANY_REQUESTS));
    let expected = f64::from(LIMIT) * (end - begin).as_secs_f64();
    let admitted = f64::from(u32::try_from(admitted.len()).unwrap());
    let part = admitted / expected;
    let trips = f64::from(trips) / admitted;
    println!("{admitted} of {expected:.0} units admitted, {} refused, {trips:.3} round trips a unit", refused.len());
    assert!(refused.len() > 2 * all.len(), "the machine is too slow to reach the limit");
    assert!((0.95..=1.05).contains(&part), "{admitted} units were admitted, and {expected:.0} came");
    assert!(trips <= 0.2, "{trips} round trips for each call that was admitted");
}

#[tokio::test]
async fn what_a_caller_used_at_one_replica_it_used_at_all() {
    let config = "limits:\n  caller:\n    per_second: 1\n    burst: 30\n";
    let Some(replicas) = Replicas::start(config).await else { return };
    let (a, b, _) = replicas.each();
    let began = Instant::now();
    let mut admitted = 0;
    while call(a).await.is_success() {
        admitted += 1;
    }
    assert_eq!(call(b).await, StatusCode::TOO_MANY_REQUESTS);
    assert!((30..=31 + began.elapsed().as_secs()).contains(&admitted), "{admitted}");
    let other = Service::at(&b.base, Some(replicas.other.clone()));
    assert_eq!(call(&other).await, StatusCode::OK, "others have their own");
}

#[tokio::test]
async fn without_redis_each_replica_lets_through_its_share() {
    let config = "limits:\n  caller:\n    per_second: 1\n    burst: 30\n  alone_percent: 40\n";
    let Some(mut replicas) = Replicas::start_with(config, 1000).await else { return };
    replicas.redis.kill().await;
    for replica in &replicas.all {
        let began = Instant::now();
        let mut admitted = 0;
        while call(replica).await.is_success() {
            admitted += 1;
        }
        assert!((12..=13 + began.elapsed().as_secs()).contains(&admitted), "{admitted}");
        eventually("it is counted", async || {
            let text = replica.request(reqwest::Method::GET, "/metrics").send().await.ok()?.text().await.ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("mcp_limits_alone_total "))?;
            (line.parse::<u64>().ok()? > admitted).then_some(())
        })
        .await;
    }
}
