//! Measures the figures of docs/kafka.md, which also has the command.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use oxicorn_common::runner::Stop;

use super::legacy::{LegacyPublisher, LegacySubscriber};
use super::modern::{ModernPublisher, ModernSubscriber};
use super::probe::{LEGACY_CALLS, offers, probe};
use super::testing::{brokers_4, brokers_39, topic};
use super::{EventsError, Feed, OutboxEvent, Publisher, Relay, Subscriber, Topic};
use crate::model::{NewTask, TaskType, UserRef};
use crate::settings::ServiceSettings;
use crate::store::{Now, testing as stores};

const EVENTS: usize = 20_000;
/// The batch size of the relay.
const BATCH: usize = 500;
const ROUNDS: usize = 3;
const SAMPLES: usize = 500;
const LONG: Duration = Duration::from_secs(60);

type Outcome<T> = Result<T, EventsError>;

#[test]
#[ignore = "measures for a minute: docs/kafka.md"]
fn each_client_with_each_broker() {
    for (version, brokers) in [("3.9", brokers_39()), ("4", brokers_4())] {
        println!(
            "\n== Kafka {version}: the probe picks {:?}",
            probe(&brokers).expect("an answer")
        );
        tell_offers(&brokers[0]);
        println!("events/s sent and had, in {ROUNDS} rounds of {EVENTS}, batches of {BATCH}");
        for client in ["kafka", "rdkafka"] {
            for _ in 0..ROUNDS {
                match catch_unwind(AssertUnwindSafe(|| round(client, &brokers))) {
                    Ok(Ok((sent, had))) => println!("  {client:8} {sent:9.0} {had:9.0}"),
                    Ok(Err(problem)) => {
                        println!("  {client:8} does not work: {problem}");
                        break;
                    }
                    Err(_) => {
                        println!("  {client:8} does not work: it panicked");
                        break;
                    }
                }
            }
        }
        let rates: Vec<_> = (0..ROUNDS).map(|_| relay(&brokers).round()).collect();
        println!("events/s of the relay, from PostgreSQL: {rates:?}");
        let times = latencies(&brokers);
        let at = |per_cent: usize| times[times.len() * per_cent / 100 - 1];
        println!(
            "from commit to runner, {SAMPLES} times: median {:?}, 99 % {:?}, slowest {:?}",
            at(50),
            at(99),
            at(100)
        );
    }
}

fn tell_offers(broker: &str) {
    const NAMES: [&str; 7] = [
        "Produce",
        "Fetch",
        "ListOffsets",
        "Metadata",
        "OffsetCommit",
        "OffsetFetch",
        "FindCoordinator",
    ];
    let offers = offers(broker).expect("an answer");
    for ((call, version), name) in LEGACY_CALLS.iter().zip(NAMES) {
        let offer = offers.iter().find(|(key, ..)| key == call);
        let offer = offer.map(|(_, oldest, newest)| format!("{oldest} to {newest}"));
        println!("  {name:16} kafka sends {version}, offered {offer:?}");
    }
    println!("  {} calls in all", offers.len());
}

/// Events per second, sent and received.
fn round(client: &str, brokers: &[String]) -> Outcome<(f64, f64)> {
    let topic = topic("measured", brokers.to_vec());
    let mut publisher: Box<dyn Publisher> = match client {
        "kafka" => Box::new(LegacyPublisher::connect(&topic)?),
        _ => Box::new(ModernPublisher::connect(&topic)?),
    };
    let events = events();
    // The topic is made by the first.
    send(&mut *publisher, &events[..1])?;
    let began = Instant::now();
    for batch in events[1..].chunks(BATCH) {
        send(&mut *publisher, batch)?;
    }
    let sent = EVENTS as f64 / began.elapsed().as_secs_f64();
    let mut subscriber: Box<dyn Subscriber> = match client {
        "kafka" => Box::new(LegacySubscriber::connect(&topic, &topic.name)?),
        _ => Box::new(ModernSubscriber::connect(&topic, &topic.name)?),
    };
    let (mut count, deadline) = (0, Instant::now() + LONG);
    // Joining a group takes seconds, but only once.
    let mut began = None;
    while count < EVENTS {
        assert!(Instant::now() < deadline, "{count} of {EVENTS} in {LONG:?}");
        count += subscriber.poll(true, Duration::from_millis(100))?.len();
        if count > 0 {
            began.get_or_insert_with(Instant::now);
        }
    }
    let took = began.map_or(LONG, |it| it.elapsed());
    Ok((sent, EVENTS as f64 / took.as_secs_f64()))
}

fn send(publisher: &mut dyn Publisher, batch: &[OutboxEvent]) -> Outcome<()> {
    publisher.publish(batch).problem.map_or(Ok(()), Err)
}

fn new_task() -> NewTask {
    NewTask {
        user_id: UserRef::from_stored("1"),
        task_type: TaskType::DataProcessing,
        priority: Default::default(),
        parameters: Default::default(),
    }
}

/// As the store writes them.
fn events() -> Vec<OutboxEvent> {
    let (_guard, store) = stores::store();
    let task = store.create_task(&new_task(), Now::Store);
    let event = store.outbox(1).expect("no error").remove(0);
    let id = task.expect("a task").task_id;
    let others = (id..).take(EVENTS).map(|task_id| OutboxEvent {
        task_id,
        event_id: task_id,
        ..event.clone()
    });
    others.collect()
}

/// Events per second, from a full outbox to an empty one.
fn relay(brokers: &[String]) -> f64 {
    let (_guard, settings) = stores::on_postgres();
    let (store, context) = (stores::open(&settings), stores::context(&settings));
    store.create_task(&new_task(), Now::Store).expect("a task");
    let sql = format!(
        "INSERT INTO events (event_type, task_id, payload, created_at)
         SELECT event_type, task_id + number, payload, created_at
         FROM events, generate_series(1, {EVENTS} - 1) AS number"
    );
    let client = ::postgres::Client::connect(
        &ServiceSettings::of(&settings).database_url,
        ::postgres::NoTls,
    );
    client
        .and_then(|mut it| it.batch_execute(&sql))
        .expect("events");
    let stop = Stop::default();
    let topic = topic("relayed", brokers.to_vec());
    let began = Instant::now();
    let relay = Relay::new(&context, store.clone(), topic)
        .expect("metrics of ours")
        .start(stop.clone());
    while !store.outbox(1).expect("no error").is_empty() {
        assert!(began.elapsed() < LONG);
        std::thread::sleep(Duration::from_millis(5));
    }
    let rate = EVENTS as f64 / began.elapsed().as_secs_f64();
    stop.request();
    relay.expect("a thread").finish();
    rate
}

/// From the commit until a runner has the message, sorted.
fn latencies(brokers: &[String]) -> Vec<Duration> {
    let (_guard, settings) = stores::on_postgres();
    let (store, context) = (stores::open(&settings), stores::context(&settings));
    let topic: Topic = topic("latency", brokers.to_vec());
    let stop = Stop::default();
    let relay = Relay::new(&context, store.clone(), topic.clone())
        .expect("metrics of ours")
        .start(stop.clone());
    let group = topic.name.clone();
    let feed = Feed::start(topic, group).expect("a thread");
    let deliver = || {
        store.create_task(&new_task(), Now::Store).expect("a task");
        let committed = Instant::now();
        context.bell.ring();
        while feed.take(1, Duration::from_millis(50)).is_empty() {
            assert!(committed.elapsed() < LONG);
        }
        committed.elapsed()
    };
    // The first ones wait for the topic and the group.
    (0..20).for_each(|_| _ = deliver());
    let mut times: Vec<_> = (0..SAMPLES).map(|_| deliver()).collect();
    stop.request();
    relay.expect("a thread").finish();
    times.sort();
    times
}
