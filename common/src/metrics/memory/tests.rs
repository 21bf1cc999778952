//! The memory with its handles: what is read is the sum over the living and the dead.

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use super::*;
use crate::metrics::Metrics;
use crate::status::ApplicationValue;

static METRICS: [Metric; 4] = [
    Metric::counter("jobs_total", "Jobs."),
    Metric::gauge("queue", "Jobs that wait."),
    Metric::histogram("job_seconds", "Time of jobs.", &[0.5, 1.0]),
    Metric::counter("colours_total", "By colour.").by("colour", &["red", "blue"]),
];

/// As after a reload: one metric is gone, one is new, one has other label values, and the order is another.
static LATER: [Metric; 3] = [
    Metric::counter("colours_total", "By colour, with green.").by("colour", &["green", "blue"]),
    Metric::gauge("workers", "New."),
    Metric::counter("jobs_total", "Jobs."),
];

fn memory() -> MetricMemory {
    MetricMemory::new().expect("a mapping").0
}

fn metrics(memory: &MetricMemory, slot: usize, table: &'static [Metric]) -> Metrics {
    let places = memory.place(table, false).expect("valid metrics");
    memory.claim(slot);
    Metrics::new(memory.clone(), slot, places)
}

/// Writes each of [`METRICS`].
fn work(metrics: &Metrics) {
    metrics.counter("jobs_total").expect("a counter").add(3);
    metrics.gauge("queue").expect("a gauge").set(2.5);
    let seconds = metrics.histogram("job_seconds").expect("a histogram");
    for value in [0.25, 0.5, 0.75, 8.0, f64::NAN] {
        seconds.observe(value);
    }
    let blue = metrics.counter(("colours_total", "blue"));
    blue.expect("a counter").inc();
}

/// Everything that is reported, a line each.
fn lines(memory: &MetricMemory) -> Vec<String> {
    let report = memory.report().into_iter();
    let lines = report.flat_map(|metric| {
        let name = metric.name;
        metric.samples.into_iter().map(move |sample| {
            let label = sample.label.map(|(_, value)| format!(" {value}"));
            let value = match sample.value {
                ApplicationValue::Counter(value) | ApplicationValue::Gauge(value) => {
                    value.to_string()
                }
                ApplicationValue::Histogram(it) => {
                    format!("{} in {:?}, sum {}", it.count, it.buckets, it.sum)
                }
            };
            format!("{name}{} {value}", label.unwrap_or_default())
        })
    });
    lines.collect()
}

const OF_TWO: [&str; 5] = [
    "jobs_total 6",
    "queue 5",
    "job_seconds 8 in [(0.5, 4), (1.0, 2)], sum 19",
    "colours_total red 0",
    "colours_total blue 2",
];

#[test]
fn children_are_summed_and_only_the_gauges_of_the_dead_are_gone() {
    let memory = memory();
    work(&metrics(&memory, 0, &METRICS));
    work(&metrics(&memory, 7, &METRICS));
    assert_eq!(lines(&memory), OF_TWO);
    memory.fold(7);
    let mut expected = OF_TWO;
    expected[1] = "queue 2.5";
    assert_eq!(lines(&memory), expected);
    memory.fold(0);
    expected[1] = "queue 0";
    assert_eq!(lines(&memory), expected);
    work(&metrics(&memory, 0, &METRICS));
    assert_eq!(lines(&memory)[..2], ["jobs_total 9", "queue 2.5"]);
}

#[test]
fn a_child_that_is_killed_takes_no_count_with_it() {
    let memory = memory();
    let own = metrics(&memory, 1, &METRICS);
    // SAFETY: this test process has other threads, but none of them holds a lock that the child needs: it only writes
    // to words.
    #[allow(unsafe_code, reason = "there is no other way to a second process")]
    let forked = unsafe { fork() }.expect("a child");
    let ForkResult::Parent { child } = forked else {
        let _ = memory.confine(1);
        work(&own);
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
        unreachable!("it is dead");
    };
    let ended = waitpid(child, None).expect("its end");
    assert!(matches!(ended, WaitStatus::Signaled(..)), "{ended:?}");
    memory.fold(1);
    assert_eq!(lines(&memory)[..2], ["jobs_total 3", "queue 0"]);
}

#[test]
fn threads_may_write_the_same_figure() {
    let memory = memory();
    let own = metrics(&memory, 0, &METRICS);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let (jobs, queue) = (own.counter("jobs_total"), own.gauge("queue"));
                let (jobs, queue) = (jobs.expect("a counter"), queue.expect("a gauge"));
                let seconds = own.histogram("job_seconds").expect("a histogram");
                for _ in 0..10_000 {
                    jobs.inc();
                    queue.inc();
                    seconds.observe(0.25);
                    queue.dec();
                }
            });
        }
    });
    assert_eq!(
        lines(&memory)[..3],
        [
            "jobs_total 40000",
            "queue 0",
            "job_seconds 40000 in [(0.5, 40000), (1.0, 0)], sum 10000"
        ]
    );
}

/// Generations go by names: what has stayed goes on counting where it was.
#[test]
fn a_generation_with_other_metrics_counts_beside_the_one_before() {
    let memory = memory();
    let old = metrics(&memory, 0, &METRICS);
    work(&old);
    let new = metrics(&memory, 1, &LATER);
    work(&old);
    new.counter("jobs_total").expect("a counter").inc();
    let green = new.counter(("colours_total", "green"));
    green.expect("a counter").inc();
    new.gauge("workers").expect("a gauge").set(1.0);
    memory.fold(0);
    let expected = [
        "jobs_total 7",
        "queue 0",
        "job_seconds 8 in [(0.5, 4), (1.0, 2)], sum 19",
        "colours_total green 1",
        "colours_total blue 2",
        "workers 1",
    ];
    assert_eq!(lines(&memory), expected);
    let text = memory.catalog_bytes();
    metrics(&memory, 2, &LATER);
    assert_eq!(memory.catalog_bytes(), text, "nothing is new");
    metrics(&memory, 2, &METRICS);
    assert_eq!(lines(&memory)[3], "colours_total red 0");
    assert_eq!(lines(&memory)[4], "colours_total blue 2");
}

#[test]
fn of_a_maximum_the_highest_of_the_living_counts() {
    static MAXIMUM: [Metric; 1] = [Metric::maximum("length", "Of the common queue.")];
    let memory = memory();
    for (slot, value) in [(0, 3.0), (1, 7.0), (2, 0.0)] {
        let own = metrics(&memory, slot, &MAXIMUM);
        own.gauge("length").expect("a gauge").set(value);
    }
    assert_eq!(lines(&memory), ["length 7"]);
    memory.fold(1);
    assert_eq!(lines(&memory), ["length 3"]);
}

#[test]
fn a_metric_that_becomes_another_kind_starts_anew() {
    static GAUGE: [Metric; 1] = [Metric::gauge("queue", "Jobs that wait.")];
    static HISTOGRAM: [Metric; 1] = [Metric::histogram("queue", "By length.", &[1.0])];
    let memory = memory();
    metrics(&memory, 0, &GAUGE)
        .gauge("queue")
        .expect("a gauge")
        .set(9.0);
    metrics(&memory, 1, &HISTOGRAM);
    assert_eq!(lines(&memory), ["queue 0 in [(1.0, 0)], sum 0"]);
}

/// Both masters of an upgrade see the figures of both; the one that is left keeps those of the other.
#[test]
fn two_masters_share_the_figures() {
    let (old, file) = MetricMemory::new().expect("a mapping");
    let file = file.expect("memfd_create(2)");
    let inherit = |from: &MetricMemory| {
        let pid = i32::try_from(own_pid()).expect("a pid");
        let new = MetricMemory::inherited(&file, pid).expect("the same layout");
        assert_ne!(new.side, from.side);
        new
    };
    work(&metrics(&old, 0, &METRICS));
    let new = inherit(&old);
    work(&metrics(&new, 0, &METRICS));
    for it in [&old, &new] {
        assert_eq!(lines(it), OF_TWO);
    }
    new.fold_other();
    let mut expected = OF_TWO;
    expected[1] = "queue 2.5";
    assert_eq!(lines(&new), expected);
    let newest = inherit(&new);
    work(&metrics(&newest, 3, &METRICS));
    assert_eq!(lines(&new)[..2], ["jobs_total 9", "queue 5"]);
    new.fold(0);
    assert_eq!(lines(&newest)[..2], ["jobs_total 9", "queue 2.5"]);
}

#[test]
fn another_layout_is_not_used() {
    let (memory, file) = MetricMemory::new().expect("a mapping");
    memory.words[LAYOUT].store(7, Ordering::Relaxed);
    assert!(MetricMemory::inherited(file.expect("memfd_create(2)"), 1).is_err());
}

/// A master that is killed while it folds, or while it writes the catalog, stops nobody.
#[test]
fn a_master_that_was_killed_holds_up_nobody() {
    let memory = memory();
    work(&metrics(&memory, 0, &METRICS));
    memory.words[FOLDING + 1].store(1, Ordering::Relaxed);
    // No process has this pid.
    memory.words[LOCK].store(i32::MAX as u64, Ordering::Relaxed);
    metrics(&memory, 1, &LATER);
    assert_eq!(lines(&memory)[0], "jobs_total 3");
    memory.fold_other();
    assert_eq!(memory.words[FOLDING + 1].load(Ordering::Relaxed), 2);
}

#[test]
fn readers_never_see_a_total_fall_while_children_die() {
    let memory = memory();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for slot in (0..8).cycle().take(2000) {
                work(&metrics(&memory, slot, &METRICS));
                memory.fold(slot);
            }
            done.store(true, Ordering::Relaxed);
        });
        let kinds = [WordKind::Count];
        let mut last = 0;
        while !done.load(Ordering::Relaxed) {
            let sum = memory.sums(&kinds)[0];
            assert!(sum >= last, "{sum} after {last}");
            last = sum;
        }
    });
    assert_eq!(memory.sums(&[WordKind::Count]), [6000]);
}

#[test]
fn what_is_no_metric_is_named() {
    let memory = memory();
    let own = metrics(&memory, 0, &METRICS);
    let text = |error: MetricError| error.to_string();
    let unknown = own.counter("jobs").expect_err("no such metric");
    assert!(text(unknown).contains("no counter \"jobs\""));
    let other_kind = own.gauge("jobs_total").expect_err("a counter");
    assert!(text(other_kind).contains("no gauge \"jobs_total\""));
    for name in [("colours_total", "pink"), ("jobs_total", "red")] {
        let unknown = own.counter(name).expect_err("no such value");
        assert!(text(unknown).contains(name.1));
    }
    assert!(own.counter("colours_total").is_err(), "which colour?");
}

#[test]
fn too_many_are_refused_and_change_nothing() {
    let memory = memory();
    work(&metrics(&memory, 0, &METRICS));
    let values: Vec<&'static str> = (0..SLOT_WORDS)
        .map(|number| &*number.to_string().leak())
        .collect();
    let many = Metric::counter("many_total", "x").by("number", values.leak());
    let refused = memory
        .place(vec![many].leak(), false)
        .expect_err("too many");
    let text = refused.to_string();
    assert!(text.contains(&format!("need {SLOT_WORDS} words")), "{text}");
    assert_eq!(memory.report().len(), METRICS.len());
}
