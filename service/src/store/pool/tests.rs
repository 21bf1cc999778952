//! The pool, over connections that only count. Real servers are in the integration tests.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use oxicorn_common::Metrics;
use oxicorn_common::status::ApplicationValue;

use super::*;
use crate::metrics::METRICS;

const SOON: Duration = Duration::from_secs(20);
/// POOL_TIMEOUT, if the test waits for it.
const SHORT: Duration = Duration::from_millis(300);

/// A server that accepts a limited number of connections.
#[derive(Debug, Clone)]
struct Server(Arc<Count>);

#[derive(Debug)]
struct Count {
    room: AtomicUsize,
    open: AtomicUsize,
    attempts: AtomicUsize,
}

#[derive(Debug)]
struct Ticket {
    number: usize,
    is_broken: bool,
    server: Server,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.server.0.open.fetch_sub(1, SeqCst);
    }
}

impl Server {
    fn with_room(room: usize) -> Self {
        Self(Arc::new(Count {
            room: AtomicUsize::new(room),
            open: AtomicUsize::new(0),
            attempts: AtomicUsize::new(0),
        }))
    }

    fn open(&self) -> usize {
        self.0.open.load(SeqCst)
    }

    fn attempts(&self) -> usize {
        self.0.attempts.load(SeqCst)
    }
}

impl ManageConnection for Server {
    type Connection = Ticket;
    type Error = io::Error;

    fn connect(&self) -> io::Result<Ticket> {
        let number = self.0.attempts.fetch_add(1, SeqCst);
        let room = self.0.room.load(SeqCst);
        let entered = self
            .0
            .open
            .fetch_update(SeqCst, SeqCst, |open| (open < room).then_some(open + 1));
        entered.map_err(|_| io::Error::other("too many clients"))?;
        Ok(Ticket {
            number,
            is_broken: false,
            server: self.clone(),
        })
    }

    fn is_valid(&self, _ticket: &mut Ticket) -> io::Result<()> {
        Ok(())
    }

    fn has_broken(&self, ticket: &mut Ticket) -> bool {
        ticket.is_broken
    }
}

fn shape(size: u32, overflow: u32, timeout: Duration) -> PoolShape {
    PoolShape {
        size,
        overflow,
        recycle: None,
        timeout,
    }
}

fn pool(server: &Server, shape: PoolShape) -> Pool<Server> {
    let metrics = Metrics::unshared(METRICS).expect("memory");
    let metrics = PoolMetrics::of(&metrics).expect("metrics of ours");
    Pool::with_idle_time(server.clone(), shape, metrics, Duration::from_secs(1))
}

fn until(what: &str, timeout: Duration, done: impl Fn() -> bool) {
    let deadline = Instant::now() + timeout;
    while !done() {
        assert!(Instant::now() < deadline, "not within {timeout:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn take<'a>(pool: &'a Pool<Server>) -> Lent<'a, Server> {
    pool.take().expect("a connection")
}

#[test]
fn pool_size_is_kept_and_overflow_is_given_back_when_idle() {
    let server = Server::with_room(100);
    let pool = pool(&server, shape(3, 2, SHORT));
    until("POOL_SIZE is open before anybody asks", SOON, || {
        server.open() == 3
    });
    let mut lent: Vec<_> = (0..3).map(|_| take(&pool)).collect();
    assert_eq!(server.attempts(), 3, "the kept ones come first");
    lent.push(take(&pool));
    assert_eq!(server.open(), 4, "one more, as one more is needed");
    lent.push(take(&pool));
    assert_eq!(server.open(), 5);
    assert!(
        matches!(pool.take(), Err(StoreError::Busy(None))),
        "all are lent"
    );
    assert_eq!(server.attempts(), 5);
    drop(lent);
    for _ in 0..50 {
        assert!(take(&pool).number < 3, "the kept ones are enough now");
    }
    // r2d2 looks every 30 s for those that have idled too long.
    until("overflow is closed", Duration::from_secs(50), || {
        server.open() == 3
    });
    assert!(take(&pool).number < 3);
    assert_eq!(server.attempts(), 5, "those of POOL_SIZE stay");
}

#[test]
fn who_waits_longer_than_pool_timeout_is_told_that_it_is_busy() {
    let server = Server::with_room(100);
    let pool = pool(&server, shape(1, 0, SHORT));
    let lent = take(&pool);
    let began = Instant::now();
    assert!(matches!(pool.take(), Err(StoreError::Busy(None))));
    let took = began.elapsed();
    assert!(
        took >= SHORT && took < SHORT + Duration::from_secs(2),
        "{took:?}"
    );
    drop(lent);
    assert_eq!(take(&pool).number, 0);
}

#[test]
fn who_waits_has_what_is_given_back() {
    let server = Server::with_room(100);
    let pool = pool(&server, shape(1, 0, SOON));
    let (asking, asks) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let lent = take(&pool);
        let waiting = scope.spawn(|| {
            asking.send(()).expect("we listen");
            let began = Instant::now();
            (take(&pool).number, began.elapsed())
        });
        asks.recv().expect("it asks");
        drop(lent);
        let (number, waited) = waiting.join().expect("no panic");
        assert!(number == 0 && waited < SOON / 2, "{waited:?}");
    });
}

#[test]
fn connections_are_replaced_in_time_and_not_together() {
    let server = Server::with_room(100);
    let age = Duration::from_secs(1000);
    let recycle = |age| PoolShape {
        recycle: Some(age),
        ..shape(30, 0, SOON)
    };
    let many = pool(&server, recycle(age));
    let before = Instant::now();
    let lent: Vec<_> = (0..30).map(|_| take(&many)).collect();
    let ends = lent.iter().map(|it| it.retires.expect("an end"));
    let ends: Vec<_> = ends.map(|end| end - before).collect();
    assert!(
        ends.iter()
            .all(|it| (age.mul_f64(0.9)..age + SOON).contains(it)),
        "{ends:?}"
    );
    let spread = ends.iter().max().zip(ends.iter().min());
    let spread = spread.map(|(most, least)| *most - *least);
    assert!(spread > Some(age.mul_f64(0.03)), "{spread:?}");

    let server = Server::with_room(100);
    let one = PoolShape {
        size: 1,
        ..recycle(Duration::from_millis(200))
    };
    let one = pool(&server, one);
    let (first, end) = {
        let lent = take(&one);
        (lent.number, lent.retires.expect("an end"))
    };
    until("its time is over", SOON, || Instant::now() > end);
    assert_ne!(take(&one).number, first);
    until("the old one is closed", SOON, || server.open() <= 1);
}

#[test]
fn a_server_without_room_is_left_alone_for_a_while() {
    let server = Server::with_room(2);
    let pool = pool(&server, shape(2, 2, Duration::from_secs(1)));
    until("POOL_SIZE is open", SOON, || server.open() == 2);
    let lent = (take(&pool), take(&pool));
    assert!(
        matches!(pool.take(), Err(StoreError::Busy(None))),
        "no more than there are"
    );
    let attempts = server.attempts();
    assert!(attempts > 2, "it was tried");
    // The next caller waits for the open ones, and gets one as soon as it is returned.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| pool.take().map(|lent| lent.number));
        let (one, two) = lent;
        drop(one);
        let number = waiting.join().expect("no panic").expect("a connection");
        assert!(number < 2, "{number}");
        server.0.room.store(100, SeqCst);
        let again = take(&pool);
        until("there is room again", SOON, || match pool.take() {
            Ok(lent) => lent.number >= 2,
            Err(_) => false,
        });
        drop((two, again));
    });
}

#[test]
fn a_server_that_is_gone_is_not_waited_for() {
    let server = Server::with_room(0);
    let pool = pool(&server, shape(2, 2, SOON));
    let began = Instant::now();
    match pool.take() {
        Err(StoreError::Unreachable(why)) => assert_eq!(why, "too many clients"),
        other => panic!("{:?}", other.map(|lent| lent.number)),
    }
    assert!(began.elapsed() < SOON / 2, "{:?}", began.elapsed());
    server.0.room.store(100, SeqCst);
    until("it is back", SOON, || pool.take().is_ok());
}

#[test]
fn a_broken_connection_is_replaced() {
    let server = Server::with_room(100);
    let pool = pool(&server, shape(1, 0, SOON));
    let mut seen = HashSet::new();
    for round in 0..6 {
        let mut lent = take(&pool);
        assert!(seen.insert(lent.number), "{} again", lent.number);
        match round % 2 {
            0 => lent.is_broken = true,
            _ => lent.doom(),
        }
    }
    until("those are closed", SOON, || server.open() == 1);
}

#[test]
fn each_connection_counts_as_lent_or_idle_and_each_thread_that_waits_once() {
    let server = Server::with_room(100);
    let metrics = Metrics::unshared(METRICS).expect("memory");
    let counts = PoolMetrics::of(&metrics).expect("metrics of ours");
    let pool = Pool::with_idle_time(server.clone(), shape(2, 1, SHORT), counts, SOON);
    let figure = |name: &str| {
        let report = metrics.report();
        let found = report.into_iter().find(|metric| metric.name == name);
        let samples = found.expect("a metric").samples.into_iter();
        let values = samples.map(|sample| match sample.value {
            ApplicationValue::Counter(value) | ApplicationValue::Gauge(value) => value,
            ApplicationValue::Histogram(_) => f64::NAN,
        });
        values.collect::<Vec<_>>()
    };
    let connections = || figure("oxicorn_pool_connections");
    until("POOL_SIZE is open", SOON, || connections() == [0.0, 2.0]);
    let mut lent: Vec<_> = (0..3).map(|_| take(&pool)).collect();
    assert_eq!(connections(), [3.0, 0.0]);
    assert_eq!(figure("oxicorn_pool_waiting"), [0.0]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(matches!(pool.take(), Err(StoreError::Busy(None))));
        });
        until("one waits", SOON, || {
            figure("oxicorn_pool_waiting") == [1.0]
        });
    });
    assert_eq!(figure("oxicorn_pool_waiting"), [0.0]);
    assert_eq!(figure("oxicorn_pool_timeouts_total"), [1.0]);
    lent[0].doom();
    lent.truncate(1);
    assert_eq!(connections(), [1.0, 2.0]);
    drop(lent);
    until("what was doomed is replaced", SOON, || {
        connections() == [0.0, server.open() as f64] && server.open() == 3
    });
    drop(pool);
    until("all are closed", SOON, || connections() == [0.0, 0.0]);
}
