//! What every home of the store promises, in memory and in a real Redis.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cloud_native_mcp::error::Error;
use cloud_native_mcp::store::{Condition, MOST_VALUE_BYTES, Memory, Rate, RedisConfig, Store};
use futures_util::future::join_all;

use crate::harness::{Folder, eventually};
use crate::redis::{Server, store};

const MINUTE: Duration = Duration::from_secs(60);

/// Five units at once, and then one a second.
const SLOW: Rate = Rate { per_second: 1, burst: 5 };

/// What two clocks may differ by within a test.
const SLACK: Duration = Duration::from_millis(10);

/// Checks something of both homes.
async fn check(promise: impl AsyncFn(Arc<dyn Store>)) {
    promise(Arc::new(Memory::new(64 << 20))).await;
    if let Some(server) = Server::start().await {
        promise(server.store()).await;
    }
}

/// A cluster of three servers without replicas, and how a store reaches it.
async fn cluster() -> Option<(Vec<Server>, RedisConfig)> {
    let program = crate::stack::program("redis-cli")?;
    let mut servers = Vec::new();
    for _ in 0..3 {
        let bus = crate::harness::free_port().to_string();
        servers.push(Server::start_with(&["--cluster-enabled", "yes", "--cluster-port", &bus]).await?);
    }
    let addresses = servers.iter().map(|server| format!("127.0.0.1:{}", server.port));
    let mut create = tokio::process::Command::new(program);
    create.args(["--cluster", "create"]).args(addresses).arg("--cluster-yes").kill_on_drop(true);
    let output = create.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    for server in &servers {
        let mut redis = server.look().await;
        eventually("the servers know each other", async || {
            let info: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut redis).await.ok()?;
            info.contains("cluster_state:ok").then_some(())
        })
        .await;
    }
    let config = RedisConfig { cluster: vec![servers[0].url()], url: String::new(), ..servers[0].config() };
    Some((servers, config))
}

#[tokio::test]
async fn a_cluster_keeps_the_same_promises() {
    let Some((mut servers, config)) = cluster().await else { return };
    let (one, other) = (store(&config), store(&config));
    // Enough names that each server has some.
    for number in 0..30_u64 {
        let (key, log, channel) = (format!("k{number}"), format!("log:{{{number}}}"), format!("c:{{{number}}}"));
        assert!(one.put(&key, value("v"), MINUTE, Condition::Absent).await.unwrap());
        assert!(!other.put(&key, value("w"), MINUTE, Condition::Absent).await.unwrap());
        assert!(other.put(&key, value("w"), MINUTE, Condition::Is(value("v"))).await.unwrap());
        assert_eq!(one.renew(&key, MINUTE).await.unwrap(), Some(value("w")));
        for count in 1..4 {
            assert_eq!(one.append(&log, value("e"), 2, MINUTE).await.unwrap(), count);
        }
        assert_eq!(other.read(&log, 0).await.unwrap().unwrap(), [(2, value("e")), (3, value("e"))]);
        assert!(!other.publish(&channel, value("early")).await.unwrap());
        let limit = format!("limit:{number}");
        assert!(one.take(&limit, SLOW, 3, Duration::ZERO).await.unwrap().granted);
        assert!(!other.take(&limit, SLOW, 3, Duration::ZERO).await.unwrap().granted);
        let (mut here, mut there) = (one.subscribe(&channel).await.unwrap(), other.subscribe(&channel).await.unwrap());
        assert!(one.publish(&channel, value("m")).await.unwrap());
        assert_eq!((here.next().await, there.next().await), (Some(value("m")), Some(value("m"))));
    }
    let first = one.subscribe("left").await.unwrap();
    drop(first);
    eventually("nobody listens", async || (!one.publish("left", value("?")).await.unwrap()).then_some(())).await;
    let mut listeners = Vec::new();
    for number in 0..30 {
        listeners.push(one.subscribe(&format!("d{number}")).await.unwrap());
    }
    servers[1].kill().await;
    for listener in &mut listeners {
        assert_eq!(listener.next().await, None, "one server is enough to miss something");
    }
}

fn value(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[tokio::test]
async fn a_value_is_put_only_where_its_condition_holds() {
    check(async |store| {
        assert!(store.put("k", value("one"), MINUTE, Condition::Absent).await.unwrap());
        assert!(!store.put("k", value("two"), MINUTE, Condition::Absent).await.unwrap());
        assert!(!store.put("k", value("two"), MINUTE, Condition::Is(value("other"))).await.unwrap());
        assert!(!store.put("none", value("two"), MINUTE, Condition::Is(Bytes::new())).await.unwrap());
        assert!(store.put("k", value("two"), MINUTE, Condition::Is(value("one"))).await.unwrap());
        assert_eq!(store.get("k").await.unwrap(), Some(value("two")));
        assert!(store.put("k", value("three"), MINUTE, Condition::Always).await.unwrap());
        assert_eq!(store.get("k").await.unwrap(), Some(value("three")));
        assert_eq!(store.get("none").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn bytes_come_back_as_they_were() {
    check(async |store| {
        let all: Bytes = (0..=255).collect::<Vec<u8>>().into();
        for content in [all, Bytes::new(), value("\r\n$3\r\n")] {
            store.put("k", content.clone(), MINUTE, Condition::Always).await.unwrap();
            assert_eq!(store.get("k").await.unwrap(), Some(content.clone()));
            assert!(store.put("k", content.clone(), MINUTE, Condition::Is(content.clone())).await.unwrap());
            store.remove("log").await.unwrap();
            store.append("log", content.clone(), 9, MINUTE).await.unwrap();
            assert_eq!(store.read("log", 0).await.unwrap().unwrap(), [(1, content.clone())]);
            let mut messages = store.subscribe("c").await.unwrap();
            assert!(store.publish("c", content.clone()).await.unwrap());
            assert_eq!(messages.next().await, Some(content));
        }
    })
    .await;
}

#[tokio::test]
async fn of_many_who_want_the_same_one_gets_it() {
    check(async |store| {
        let puts = (0..20).map(|_| store.put("k", value("mine"), MINUTE, Condition::Absent));
        let won: Vec<bool> = join_all(puts).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
        let removed = join_all((0..20).map(|_| store.remove("k"))).await;
        assert_eq!(removed.into_iter().filter(|removed| *removed.as_ref().unwrap()).count(), 1);
    })
    .await;
}

#[tokio::test]
async fn changes_at_the_same_time_are_not_lost() {
    check(async |store| {
        store.put("n", value("0"), MINUTE, Condition::Always).await.unwrap();
        let add = async || {
            loop {
                let old = store.get("n").await.unwrap().unwrap();
                let number: u32 = std::str::from_utf8(&old).unwrap().parse().unwrap();
                let new = Bytes::from((number + 1).to_string());
                if store.put("n", new, MINUTE, Condition::Is(old)).await.unwrap() {
                    return;
                }
            }
        };
        join_all((0..20).map(|_| add())).await;
        assert_eq!(store.get("n").await.unwrap(), Some(value("20")));
    })
    .await;
}

#[tokio::test]
async fn a_key_is_gone_after_its_time_unless_it_was_touched() {
    check(async |store| {
        let short = Duration::from_millis(300);
        store.put("short", value("v"), short, Condition::Always).await.unwrap();
        store.put("touched", value("v"), short, Condition::Always).await.unwrap();
        store.append("log", value("e"), 9, short).await.unwrap();
        assert!(store.touch("touched", MINUTE).await.unwrap());
        assert!(!store.touch("none", MINUTE).await.unwrap());
        store.put("renewed", value("r"), short, Condition::Always).await.unwrap();
        assert_eq!(store.renew("renewed", MINUTE).await.unwrap(), Some(value("r")));
        assert_eq!(store.renew("none", MINUTE).await.unwrap(), None);
        eventually("they are gone", async || {
            let gone = store.get("short").await.unwrap().is_none() && store.read("log", 0).await.unwrap().is_none();
            gone.then_some(())
        })
        .await;
        assert!(!store.touch("short", MINUTE).await.unwrap());
        assert!(!store.remove("short").await.unwrap());
        assert_eq!(store.get("touched").await.unwrap(), Some(value("v")));
        assert_eq!(store.get("renewed").await.unwrap(), Some(value("r")));
        assert_eq!(store.append("log", value("e"), 9, MINUTE).await.unwrap(), 1, "a log begins anew");
    })
    .await;
}

#[tokio::test]
async fn a_log_keeps_its_last_entries_and_their_numbers() {
    check(async |store| {
        assert_eq!(store.read("log", 0).await.unwrap(), None);
        assert_eq!(store.end("log").await.unwrap(), 0);
        for (place, entry) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
            let number = store.append("log", entry.into(), 3, MINUTE).await.unwrap();
            assert_eq!(number, place as u64 + 1);
        }
        assert_eq!(store.end("log").await.unwrap(), 5);
        let kept = [(3, value("c")), (4, value("d")), (5, value("e"))];
        assert_eq!(store.read("log", 0).await.unwrap().unwrap(), kept);
        assert_eq!(store.read("log", 2).await.unwrap().unwrap(), kept);
        assert_eq!(store.read("log", 4).await.unwrap().unwrap(), kept[2..]);
        assert_eq!(store.read("log", 5).await.unwrap().unwrap(), []);
        assert_eq!(store.read("log", 99).await.unwrap().unwrap(), []);
        assert_eq!(store.append("log", value("f"), 1, MINUTE).await.unwrap(), 6);
        assert_eq!(store.read("log", 0).await.unwrap().unwrap(), [(6, value("f"))]);
        assert!(store.remove("log").await.unwrap());
        assert_eq!(store.read("log", 0).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn entries_of_many_who_write_get_a_number_each() {
    check(async |store| {
        let appends = (0..50).map(|_| store.append("log", value("e"), 100, MINUTE));
        let mut numbers: Vec<u64> = join_all(appends).await.into_iter().map(Result::unwrap).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=50).collect::<Vec<_>>());
        assert_eq!(store.read("log", 0).await.unwrap().unwrap().len(), 50);
    })
    .await;
}

#[tokio::test]
async fn messages_reach_all_who_listen_in_their_order() {
    check(async |store| {
        assert!(!store.publish("c", value("early")).await.unwrap());
        let (mut first, mut second) = (store.subscribe("c").await.unwrap(), store.subscribe("c").await.unwrap());
        let mut other = store.subscribe("d").await.unwrap();
        for number in 0..100 {
            assert!(store.publish("c", Bytes::from(format!("{number}"))).await.unwrap());
        }
        assert!(store.publish("d", value("other")).await.unwrap());
        for listener in [&mut first, &mut second] {
            for number in 0..100 {
                assert_eq!(listener.next().await, Some(Bytes::from(format!("{number}"))));
            }
        }
        assert_eq!(other.next().await, Some(value("other")));
    })
    .await;
}

#[tokio::test]
async fn a_channel_can_be_left_and_listened_to_again_at_any_time() {
    check(async |store| {
        drop(store.subscribe("c").await.unwrap());
        eventually("nobody listens any more", async || (!store.publish("c", value("?")).await.unwrap()).then_some(()))
            .await;
        for _ in 0..3 {
            let mut listeners = join_all((0..20).map(|_| store.subscribe("c"))).await;
            let first = listeners.remove(0);
            drop(listeners);
            let mut first = first.unwrap();
            assert!(store.publish("c", value("hello")).await.unwrap());
            assert_eq!(first.next().await, Some(value("hello")));
        }
    })
    .await;
}

#[tokio::test]
async fn a_listener_that_falls_far_behind_is_cut_off() {
    check(async |store| {
        let mut slow = store.subscribe("c").await.unwrap();
        let mut quick = store.subscribe("c").await.unwrap();
        for _ in 0..2000 {
            store.publish("c", value("m")).await.unwrap();
            assert_eq!(quick.next().await, Some(value("m")));
        }
        let mut heard = 0;
        while slow.next().await.is_some() {
            heard += 1;
        }
        assert!(heard < 2000, "{heard}");
    })
    .await;
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    check(async |store| {
        let large = Bytes::from(vec![b'x'; MOST_VALUE_BYTES + 1]);
        assert!(matches!(store.put("k", large.clone(), MINUTE, Condition::Always).await, Err(Error::Unavailable(_))));
        assert!(matches!(store.append("l", large.clone(), 9, MINUTE).await, Err(Error::Unavailable(_))));
        assert!(matches!(store.publish("c", large.clone()).await, Err(Error::Unavailable(_))));
        let largest = large.slice(1..);
        assert!(store.put("k", largest.clone(), MINUTE, Condition::Always).await.unwrap());
        assert_eq!(store.get("k").await.unwrap(), Some(largest));
    })
    .await;
}

#[tokio::test]
async fn units_are_taken_until_none_is_left_and_come_again_in_time() {
    check(async |store| {
        let begun = Instant::now();
        let second = Duration::from_secs(1);
        for taken in 1..=5 {
            let taken_now = store.take("limit", SLOW, 1, Duration::ZERO).await.unwrap();
            assert!(taken_now.granted && taken_now.wait.is_zero(), "{taken_now:?}");
            assert!(taken_now.full <= taken * second, "{taken_now:?}");
        }
        let all = store.take("limit", SLOW, 5, Duration::ZERO).await.unwrap();
        assert!(!all.granted && all.wait <= 5 * second, "{all:?}");
        assert!(all.wait + begun.elapsed() + SLACK >= 5 * second, "{all:?}");
        assert!(store.take("other", SLOW, 5, Duration::ZERO).await.unwrap().granted, "each key has its own");
        let too_many = store.take("third", SLOW, 6, Duration::ZERO).await.unwrap();
        assert_eq!((too_many.granted, too_many.wait), (false, second), "never more at once than can be saved up");
        let again = eventually("a unit comes again", async || {
            let taken = store.take("limit", SLOW, 1, Duration::ZERO).await.unwrap();
            taken.granted.then_some(taken)
        })
        .await;
        assert!(begun.elapsed() + SLACK >= second, "{again:?}");
    })
    .await;
}

#[tokio::test]
async fn units_to_come_can_be_taken_ahead() {
    check(async |store| {
        let (none, ten) = (Duration::ZERO, Duration::from_secs(10));
        let begun = Instant::now();
        assert!(store.take("limit", SLOW, 5, none).await.unwrap().granted);
        let ahead = store.take("limit", SLOW, 4, ten).await.unwrap();
        assert!(ahead.granted && ahead.wait <= Duration::from_secs(4), "{ahead:?}");
        assert!(ahead.wait + begun.elapsed() + SLACK >= Duration::from_secs(4), "{ahead:?}");
        let next = store.take("limit", SLOW, 5, ten).await.unwrap();
        assert!(next.granted && next.wait > ahead.wait, "whoever comes later waits longer: {next:?}");
        let later = store.take("limit", SLOW, 5, ten).await.unwrap();
        assert!(!later.granted && later.wait + begun.elapsed() > ten, "{later:?}");
    })
    .await;
}

#[tokio::test]
async fn of_many_who_take_at_once_no_more_get_a_unit_than_there_are() {
    check(async |store| {
        let rate = Rate { per_second: 1, burst: 20 };
        let begun = Instant::now();
        let all = join_all((0..100).map(|_| store.take("limit", rate, 1, Duration::ZERO))).await;
        let came = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
        let granted = all.into_iter().filter(|taken| taken.as_ref().unwrap().granted).count();
        assert!((20..=20 + came).contains(&granted), "{granted}");
    })
    .await;
}

#[tokio::test]
async fn every_key_in_redis_has_the_prefix_and_expires() {
    let Some(server) = Server::start().await else { return };
    let store = server.store();
    for condition in [Condition::Always, Condition::Absent, Condition::Is(value("v"))] {
        store.put("session:{a}:ann", value("v"), MINUTE, condition).await.unwrap();
    }
    store.append("stream:{a}:s", value("e"), 9, MINUTE).await.unwrap();
    store.append("stream:{a}:s", value("e"), 1, MINUTE).await.unwrap();
    store.take("limit:ann", Rate { per_second: 1, burst: 60 }, 30, Duration::ZERO).await.unwrap();
    let mut redis = server.look().await;
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut redis).await.unwrap();
    keys.sort();
    let expected = ["cloud-native-mcp:limit:ann", "cloud-native-mcp:session:{a}:ann", "cloud-native-mcp:stream:{a}:s"];
    assert_eq!(keys, expected);
    for key in keys {
        let left: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut redis).await.unwrap();
        assert!((1..=60_000).contains(&left), "{key}: {left}");
    }
}

#[tokio::test]
async fn stores_with_other_prefixes_share_nothing() {
    let Some(server) = Server::start().await else { return };
    let (one, mut config) = (server.store(), server.config());
    config.prefix = "other:".into();
    let other = store(&config);
    one.put("k", value("v"), MINUTE, Condition::Always).await.unwrap();
    assert_eq!(other.get("k").await.unwrap(), None);
    let _listener = one.subscribe("c").await.unwrap();
    assert!(!other.publish("c", value("m")).await.unwrap());
}

#[tokio::test]
async fn when_redis_goes_every_subscription_ends_and_when_it_comes_back_all_works_again() {
    let Some(mut server) = Server::start().await else { return };
    let store = server.store();
    let mut listener = store.subscribe("c").await.unwrap();
    store.put("k", value("v"), MINUTE, Condition::Always).await.unwrap();
    server.kill().await;
    assert_eq!(listener.next().await, None);
    let error = store.get("k").await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable(message) if message.contains("try again")), "{error}");
    assert!(store.subscribe("c").await.is_err());
    server.restart().await;
    let mut listener = eventually("it listens again", async || store.subscribe("c").await.ok()).await;
    eventually("it speaks again", async || store.publish("c", value("back")).await.ok()).await;
    assert_eq!(listener.next().await, Some(value("back")));
}

#[tokio::test]
async fn a_paused_redis_costs_a_command_its_deadline_and_no_more() {
    let Some(server) = Server::start().await else { return };
    let store = store(&RedisConfig { timeout_milliseconds: 1000, ..server.config() });
    let mut listener = store.subscribe("c").await.unwrap();
    store.put("k", value("v"), MINUTE, Condition::Always).await.unwrap();
    server.pause();
    assert!(matches!(store.get("k").await, Err(Error::Unavailable(_))));
    assert_eq!(listener.next().await, None, "nobody knows what was missed");
    server.resume();
    let back = eventually("it answers again", async || store.get("k").await.ok()).await;
    assert_eq!(back, Some(value("v")));
}

#[tokio::test]
async fn a_wrong_password_is_an_error_that_does_not_show_it() {
    let Some(mut server) = Server::start().await else { return };
    let mut redis = server.look().await;
    redis::cmd("CONFIG").arg(&["SET", "requirepass", "correct-horse"]).query_async::<()>(&mut redis).await.unwrap();
    let mut config = server.config();
    config.password = cloud_native_mcp::secrets::Secret::new("battery-staple".into());
    let error = store(&config).get("k").await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable(message) if !message.contains("battery")), "{error}");
    config.password = cloud_native_mcp::secrets::Secret::new("correct-horse".into());
    assert_eq!(store(&config).get("k").await.unwrap(), None);
    server.kill().await;
}

#[tokio::test]
async fn it_needs_no_more_rights_than_the_documents_name() {
    let Some(server) = Server::start().await else { return };
    let decision = include_str!("../../docs/decisions/one-connection-to-redis.md");
    let rule = decision.lines().find_map(|line| line.trim().strip_prefix("ACL SETUSER ")).expect("a rule");
    let mut redis = server.look().await;
    redis::cmd("ACL")
        .arg("SETUSER")
        .arg(rule.split(' ').collect::<Vec<_>>())
        .query_async::<()>(&mut redis)
        .await
        .unwrap();
    let mut config = server.config();
    config.username = "cloud-native-mcp".into();
    config.password = cloud_native_mcp::secrets::Secret::new("PASSWORD".into());
    let allowed = store(&config);
    assert!(allowed.put("k", value("v"), MINUTE, Condition::Absent).await.unwrap());
    assert!(allowed.put("k", value("w"), MINUTE, Condition::Is(value("v"))).await.unwrap());
    assert_eq!(allowed.get("k").await.unwrap(), Some(value("w")));
    assert_eq!(allowed.renew("k", MINUTE).await.unwrap(), Some(value("w")));
    assert!(allowed.touch("k", MINUTE).await.unwrap() && allowed.remove("k").await.unwrap());
    for number in 1..4 {
        assert_eq!(allowed.append("log", value("e"), 2, MINUTE).await.unwrap(), number);
    }
    assert_eq!(allowed.read("log", 0).await.unwrap().unwrap().len(), 2);
    assert_eq!(allowed.end("log").await.unwrap(), 3);
    assert!(allowed.take("limit", Rate { per_second: 1, burst: 1 }, 1, Duration::ZERO).await.unwrap().granted);
    let mut listener = allowed.subscribe("c").await.unwrap();
    assert!(allowed.publish("c", value("m")).await.unwrap());
    assert_eq!(listener.next().await, Some(value("m")));
    drop(listener);
    eventually("it can leave a channel", async || (!allowed.publish("c", value("m")).await.unwrap()).then_some(()))
        .await;
    config.prefix = "elsewhere:".into();
    let refused = store(&config);
    assert!(refused.get("k").await.is_err() && refused.subscribe("c").await.is_err());
}

#[tokio::test]
async fn it_speaks_tls_with_who_has_a_certificate_of_the_given_authority() {
    let authority = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = parameters.self_signed(&authority).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let issuer = rcgen::Issuer::new(parameters, authority);
    let certificate =
        rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &issuer).unwrap();
    let folder = Folder::new();
    let text = |path: std::path::PathBuf| path.display().to_string();
    let root = folder.write("ca.pem", &root.pem());
    let certificate = text(folder.write("server.pem", &certificate.pem()));
    let key = text(folder.write("server.key", &key.serialize_pem()));
    let port = crate::harness::free_port();
    let (tls_port, authorities) = (port.to_string(), text(root.clone()));
    let arguments = [
        "--tls-port",
        &tls_port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authorities,
        "--tls-auth-clients",
        "no",
    ];
    let Some(server) = Server::start_with(&arguments).await else { return };
    let mut config = server.config();
    config.url = format!("rediss://localhost:{port}");
    assert!(store(&config).get("k").await.is_err(), "an authority that nobody told of");
    config.ca_file = Some(root);
    let store = store(&config);
    assert!(store.put("k", value("v"), MINUTE, Condition::Absent).await.unwrap());
    let mut listener = store.subscribe("c").await.unwrap();
    assert!(store.publish("c", value("m")).await.unwrap());
    assert_eq!(listener.next().await, Some(value("m")));
}

#[tokio::test]
async fn another_server_takes_over_when_the_sentinels_say_so() {
    let Some(mut primary) = Server::start_with(&["--repl-diskless-sync-delay", "0"]).await else { return };
    let port = primary.port.to_string();
    let replica = Server::start_with(&["--replicaof", "127.0.0.1", &port]).await.unwrap();
    let mut look = replica.look().await;
    eventually("the replica follows", async || {
        let info: String = redis::cmd("INFO").arg("replication").query_async(&mut look).await.ok()?;
        info.contains("master_link_status:up").then_some(())
    })
    .await;
    let folder = Folder::new();
    let watched = format!(
        "sentinel monitor shop 127.0.0.1 {port} 1\nsentinel down-after-milliseconds shop 500\nsentinel \
         failover-timeout shop 3000\n"
    );
    let file = folder.write("sentinel.conf", &watched).display().to_string();
    let sentinel = Server::start_sentinel(&file).await.unwrap();
    let mut config = primary.config();
    config.sentinels = vec![sentinel.url()];
    config.url = String::new();
    config.primary = "shop".into();
    let store = store(&config);
    store.put("k", value("v"), MINUTE, Condition::Absent).await.unwrap();
    let mut look = sentinel.look().await;
    eventually("the Sentinel knows the replica", async || {
        let known: redis::Value =
            redis::cmd("SENTINEL").arg("REPLICAS").arg("shop").query_async(&mut look).await.ok()?;
        matches!(known, redis::Value::Array(known) if !known.is_empty()).then_some(())
    })
    .await;
    primary.kill().await;
    eventually("another server takes what is written", async || {
        store.put("after", value("v"), MINUTE, Condition::Always).await.ok()
    })
    .await;
    let mut listener = eventually("it listens there", async || store.subscribe("c").await.ok()).await;
    assert!(store.publish("c", value("m")).await.unwrap());
    assert_eq!(listener.next().await, Some(value("m")));
}

#[tokio::test]
async fn a_full_redis_keeps_what_it_has_and_says_that_it_is_full() {
    let Some(server) = Server::start_with(&["--maxmemory-policy", "noeviction"]).await else { return };
    let store = server.store();
    assert!(store.put("k", value("v"), MINUTE, Condition::Always).await.unwrap());
    let full = async |bytes: &str| {
        let set = redis::cmd("CONFIG").arg(&["SET", "maxmemory", bytes]).to_owned();
        set.query_async::<()>(&mut server.look().await).await.unwrap();
    };
    full("1").await;
    for error in [
        store.put("other", value("v"), MINUTE, Condition::Always).await.unwrap_err(),
        store.put("k", value("w"), MINUTE, Condition::Is(value("v"))).await.unwrap_err(),
        store.append("log", value("e"), 9, MINUTE).await.unwrap_err(),
    ] {
        assert!(matches!(&error, Error::Unavailable(message) if message.contains("is full")), "{error}");
    }
    assert_eq!(store.get("k").await.unwrap(), Some(value("v")));
    full("0").await;
    assert!(store.put("k", value("w"), MINUTE, Condition::Is(value("v"))).await.unwrap());
}
