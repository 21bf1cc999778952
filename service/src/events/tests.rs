//! Relay, feed and runners against real brokers of both generations.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use oxicorn_common::WorkerContext;
use oxicorn_common::runner::Stop;

use super::relay::Relaying;
use super::testing::{Broker, brokers_4, brokers_39, topic};
use super::{Feed, Notice, Published, Publisher as _, Relay, Topic};
use crate::model::{NewTask, Priority, TaskId, TaskType, UserRef};
use crate::outages::{Backend, Outages};
use crate::store::{Now, Store, testing as stores};

const SOON: Duration = Duration::from_secs(30);

/// A store and its relays.
struct RelaySource {
    _folder: stores::Guard,
    context: WorkerContext,
    store: Arc<dyn Store>,
}

impl RelaySource {
    fn new() -> Self {
        let (folder, settings) = stores::settings();
        Self {
            _folder: folder,
            store: stores::open(&settings),
            context: stores::context(&settings),
        }
    }

    fn relay(&self, topic: &Topic, stop: &Stop) -> Relaying {
        let relay = Relay::new(&self.context, self.store.clone(), topic.clone());
        let relay = relay.expect("metrics of ours");
        relay.start(stop.clone()).expect("a thread")
    }

    fn create(&self) -> TaskId {
        let new = NewTask {
            user_id: UserRef::from_stored("1"),
            task_type: TaskType::DataProcessing,
            priority: Priority::default(),
            parameters: Default::default(),
        };
        let task = self.store.create_task(&new, Now::Store);
        self.context.bell.ring();
        task.expect("a task").task_id
    }

    fn cancel(&self, id: TaskId) {
        self.store.cancel_task(id, Now::Store).expect("a task");
        self.context.bell.ring();
    }

    fn waiting(&self) -> usize {
        self.store.outbox(10_000).expect("no error").len()
    }

    fn wait_until_sent(&self) {
        wait("the outbox is empty", || self.waiting() == 0);
    }
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < deadline, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn feed(topic: &Topic, group: &str) -> Feed {
    Feed::start(topic.clone(), group.to_owned()).expect("a thread")
}

/// The types of the events of each task, as they come, until there are `count` in all.
fn events(feed: &Feed, count: usize) -> HashMap<TaskId, Vec<String>> {
    let mut events: HashMap<TaskId, Vec<String>> = HashMap::new();
    let mut left = count;
    wait(&format!("{count} events"), || {
        for message in feed.take(1000, Duration::from_millis(50)) {
            let notice: Notice = serde_json::from_slice(&message.payload).expect("an event");
            let name = notice.event_type.as_str().to_owned();
            events.entry(notice.task_id).or_default().push(name);
            left = left.saturating_sub(1);
        }
        left == 0
    });
    events
}

/// Runs `test` with a topic of each generation.
fn each(name: &str, test: impl Fn(Topic)) {
    test(topic(name, brokers_39()));
    test(topic(name, brokers_4()));
}

#[test]
fn every_event_arrives_once_and_a_tasks_events_in_order() {
    each("order", |topic| {
        let (source, stop) = (RelaySource::new(), Stop::default());
        let relaying = source.relay(&topic, &stop);
        let ids: Vec<_> = (0..300).map(|_| source.create()).collect();
        ids.iter().for_each(|id| source.cancel(*id));
        source.wait_until_sent();
        let arrived = events(&feed(&topic, "all"), 600);
        assert_eq!(arrived.len(), ids.len());
        for (id, names) in &arrived {
            assert_eq!(names, &["task_created", "task_cancelled"], "{id}");
        }
        stop.request();
        relaying.finish();
    });
}

#[test]
fn a_batch_has_one_event_of_a_task() {
    let source = RelaySource::new();
    let ids = [source.create(), source.create()];
    source.cancel(ids[0]);
    let batch = super::relay::one_a_task(source.store.outbox(10).expect("no error"));
    let tasks: Vec<_> = batch.iter().map(|event| event.task_id).collect();
    assert_eq!(tasks, ids);
    assert!(
        batch
            .iter()
            .all(|event| event.payload.contains("task_created"))
    );
}

#[test]
fn both_generations_put_a_task_into_the_same_partition() {
    let topic = topic("partition", brokers_39());
    let source = RelaySource::new();
    (0..60).for_each(|_| _ = source.create());
    let batch = source.store.outbox(100).expect("no error");
    let mut legacy = super::legacy::LegacyPublisher::connect(&topic).expect("a broker");
    let mut modern = super::modern::ModernPublisher::connect(&topic).expect("a broker");
    for Published {
        acknowledged,
        problem,
    } in [legacy.publish(&batch), modern.publish(&batch)]
    {
        assert!(problem.is_none() && acknowledged.len() == 60, "{problem:?}");
    }
    let feed = feed(&topic, "all");
    let mut seen: HashMap<TaskId, Vec<i32>> = HashMap::new();
    let mut count = 0;
    wait("all messages", || {
        for message in feed.take(1000, Duration::from_millis(50)) {
            let notice: Notice = serde_json::from_slice(&message.payload).expect("an event");
            let partition = message.position.partition;
            seen.entry(notice.task_id).or_default().push(partition);
            count += 1;
        }
        count == 120
    });
    assert!(seen.values().all(|two| two[0] == two[1]), "{seen:?}");
    let used: std::collections::HashSet<_> = seen.values().map(|two| two[0]).collect();
    assert_eq!(used.len(), 3, "all partitions are used");
}

#[test]
fn one_relay_has_the_turn_and_another_takes_it_up() {
    each("turn", |topic| {
        let source = RelaySource::new();
        let stops = [Stop::default(), Stop::default()];
        let first = source.relay(&topic, &stops[0]);
        source.create();
        source.wait_until_sent();
        let second = source.relay(&topic, &stops[1]);
        (0..200).for_each(|_| _ = source.create());
        source.wait_until_sent();
        assert!(source.store.relay_turn().expect("no error").is_none());
        stops[0].request();
        first.finish();
        source.create();
        source.wait_until_sent();
        let feed = feed(&topic, "all");
        assert_eq!(events(&feed, 202).len(), 202);
        // Two that publish at once would send some of them twice.
        assert!(feed.take(1, Duration::from_secs(1)).is_empty());
        stops[1].request();
        second.finish();
    });
}

#[test]
fn what_is_not_done_is_delivered_again() {
    each("again", |topic| {
        let (source, stop) = (RelaySource::new(), Stop::default());
        let relaying = source.relay(&topic, &stop);
        (0..20).for_each(|_| _ = source.create());
        source.wait_until_sent();
        let first = feed(&topic, "runners");
        assert_eq!(events(&first, 20).len(), 20);
        // Nothing was marked as done: the runner died before.
        drop(first);
        let second = feed(&topic, "runners");
        let mut messages = Vec::new();
        wait("redelivery", || {
            messages.extend(second.take(100, Duration::from_millis(50)));
            messages.len() >= 20
        });
        second.done(&messages);
        drop(second);
        source.create();
        let third = feed(&topic, "runners");
        let mut fresh = Vec::new();
        wait("the new one", || {
            fresh.extend(third.take(100, Duration::from_millis(50)));
            !fresh.is_empty()
        });
        assert_eq!(fresh.len(), 1);
        stop.request();
        relaying.finish();
    });
}

/// During an outage events wait, none is lost, and their order stays.
fn outage(service: &str, fault: &str, remedy: &str) {
    let broker = Broker::start(service);
    let topic = topic("outage", broker.addresses());
    let (source, stop) = (RelaySource::new(), Stop::default());
    let relaying = source.relay(&topic, &stop);
    let mut ids: Vec<_> = (0..50).map(|_| source.create()).collect();
    source.wait_until_sent();
    // In the middle of a stream, so that a batch is under way.
    ids.extend((0..200).map(|_| source.create()));
    broker.fault(fault);
    ids.extend((0..50).map(|_| source.create()));
    ids.iter().for_each(|id| source.cancel(*id));
    let outages = Outages::of(&source.context);
    wait("the outage is noticed", || outages.is_down(Backend::Events));
    let kept = source.waiting();
    assert!(kept >= 350, "{kept} events wait");
    let began = Instant::now();
    source.create();
    assert!(began.elapsed() < Duration::from_secs(1), "no request waits");
    broker.fault(remedy);
    source.wait_until_sent();
    wait("its end is noticed", || !outages.is_down(Backend::Events));
    let arrived = events(&feed(&topic, "all"), 601);
    for id in &ids {
        // Events in flight when the broker went down may arrive twice.
        let mut names = arrived[id].clone();
        names.dedup();
        assert_eq!(names[..2], ["task_created", "task_cancelled"], "{id}");
    }
    stop.request();
    relaying.finish();
}

#[test]
fn a_modern_broker_is_stopped_and_back() {
    outage("kafka4", "stop", "start");
}

#[test]
fn a_modern_broker_is_killed_in_the_middle_and_back() {
    outage("kafka4", "kill", "start");
}

#[test]
fn a_modern_broker_hangs_and_goes_on() {
    outage("kafka4", "pause", "resume");
}

#[test]
fn a_legacy_broker_is_killed_in_the_middle_and_back() {
    outage("kafka39", "kill", "start");
}

#[test]
fn a_legacy_broker_hangs_and_goes_on() {
    outage("kafka39", "pause", "resume");
}
