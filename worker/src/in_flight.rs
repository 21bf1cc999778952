//! The current call of one request thread. The leader uses it to answer in the thread's place when the application
//! takes longer than `timeout`. The watchdog uses it too.

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use oxicorn_common::logging::RequestTag;
use oxicorn_common::request::{RequestHead, Scheme};

use crate::connection::ClientIdentity;
use crate::response::Arrival;
use crate::timed_call::{CallTime, Lateness, TimedCall, Warning};
use crate::transport::Transport;

#[derive(Debug)]
pub(crate) struct InFlight {
    call: TimedCall<CalledRequest>,
    /// The thread's id, once the thread runs; 0 before.
    thread: AtomicI32,
}

/// The request that the application runs for.
#[derive(Debug, Default)]
pub(crate) struct CalledRequest {
    /// `None` between two calls.
    pub(crate) transport: Option<Transport>,
    /// A copy in reused buffers, as the application has the original.
    pub(crate) head: RequestHead,
    pub(crate) facts: RequestFacts,
    pub(crate) started: Option<Instant>,
}

/// What is known of a request besides its head.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RequestFacts {
    pub(crate) identity: ClientIdentity,
    pub(crate) scheme: Scheme,
    /// The number of the request on its thread, as the scoreboard shows it.
    pub(crate) number: u64,
    pub(crate) arrival: Option<Arrival>,
}

impl InFlight {
    pub(crate) fn new() -> Self {
        Self {
            call: TimedCall::new(CalledRequest::default()),
            thread: AtomicI32::new(0),
        }
    }

    /// Sets the calling thread as the owner.
    pub(crate) fn claim(&self) {
        let thread = nix::unistd::gettid().as_raw();
        self.thread.store(thread, Ordering::Relaxed);
    }

    /// The owner.
    pub(crate) fn thread(&self) -> Option<libc::pid_t> {
        match self.thread.load(Ordering::Relaxed) {
            0 => None,
            thread => Some(thread),
        }
    }

    /// The application begins to run for a client, or to make the next piece of its response.
    pub(crate) fn begin(
        &self,
        transport: &Transport,
        now: Instant,
        head: &RequestHead,
        facts: RequestFacts,
    ) {
        self.call.begin(now, |call| {
            call.transport = Some(transport.clone());
            call.head.copy_from(head);
            (call.facts, call.started) = (facts, Some(now));
        });
    }

    /// How long the present call has lasted.
    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        let started = self.call.read(|call| call.started).flatten();
        started.map(|it| now.saturating_duration_since(it))
    }

    /// The application has returned; false if its time was over and the client was told so.
    pub(crate) fn end(&self) -> bool {
        self.call.end(|call| {
            call.transport = None;
            call.head.shed();
        })
    }

    /// The first part of the response is sent while the application makes the rest; false as with [`InFlight::end`].
    pub(crate) fn begin_response(&self) -> bool {
        self.call.begin_response()
    }

    /// The application has made a piece of the response.
    pub(crate) fn note_piece(&self) {
        self.call.note_piece();
    }

    /// Runs `wait`, which waits for the client: that does not count as the application's time.
    pub(crate) fn while_waiting<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.call.while_waiting(wait)
    }

    /// Takes the request from its thread if the application has taken longer than `limit`.
    pub(crate) fn check(&self, limit: Duration, now: Instant) -> CallTime<CalledRequest> {
        self.call.check(limit, now)
    }

    /// What a line says of a request for which the application has taken longer than `limit`; only once per call.
    pub(crate) fn warn(
        &self,
        about: Warning,
        limit: Duration,
        now: Instant,
    ) -> Lateness<LateRequest> {
        self.call.warn(about, limit, now, |call, age| LateRequest {
            line: call.line(),
            tag: call.tag(),
            age,
        })
    }
}

/// A request that takes long.
#[derive(Debug)]
pub(crate) struct LateRequest {
    /// Method and path.
    pub(crate) line: String,
    pub(crate) tag: RequestTag,
    /// How long the application has taken, for the response or for the next piece of it.
    pub(crate) age: Duration,
}

impl CalledRequest {
    /// Method and path, for the log.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.head.method(), self.head.path())
    }

    /// What lines about it say of the request.
    pub(crate) fn tag(&self) -> RequestTag {
        RequestTag::of(&self.head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// A request thread, and the seconds since it began.
    struct Thread {
        in_flight: InFlight,
        start: Instant,
    }

    impl Thread {
        fn called() -> Self {
            let (socket, _) = mio::net::UnixStream::pair().expect("a socket pair");
            let this = Self {
                in_flight: InFlight::new(),
                start: Instant::now(),
            };
            let transport = Transport::new(crate::socket::Socket::Unix(socket));
            let (head, facts) = (RequestHead::default(), RequestFacts::default());
            this.in_flight.begin(&transport, this.start, &head, facts);
            this
        }

        /// `Ok` with the remaining seconds; an error says whether a response has begun.
        fn check_at(&self, seconds: u64) -> Option<Result<u64, bool>> {
            let now = self.start + Duration::from_secs(seconds);
            match self.in_flight.check(LIMIT, now) {
                CallTime::NoCall => None,
                CallTime::Left(left) => Some(Ok(left.as_secs())),
                CallTime::Over { call, answered, .. } => {
                    assert!(call.transport.is_some(), "somebody has to be answered");
                    Some(Err(answered))
                }
            }
        }
    }

    #[test]
    fn a_call_is_given_up_once_and_its_thread_learns_of_it() {
        let thread = Thread::called();
        assert_eq!(thread.check_at(0), Some(Ok(10)));
        assert_eq!(thread.check_at(7), Some(Ok(3)));
        assert_eq!(thread.check_at(10), Some(Err(false)));
        assert_eq!(thread.check_at(11), None);
        assert!(!thread.in_flight.begin_response() && !thread.in_flight.end());
        assert_eq!(thread.check_at(12), None, "it has no other call");
    }

    #[test]
    fn a_call_that_has_ended_is_not_waited_for() {
        let thread = Thread::called();
        assert!(thread.in_flight.end());
        assert_eq!(thread.check_at(20), None);
    }

    #[test]
    fn a_piece_gives_as_much_time_again_from_when_it_is_seen() {
        let thread = Thread::called();
        assert!(thread.in_flight.begin_response());
        assert_eq!(thread.check_at(9), Some(Ok(10)));
        thread.in_flight.note_piece();
        assert_eq!(thread.check_at(18), Some(Ok(10)));
        assert_eq!(thread.check_at(27), Some(Ok(1)));
        assert_eq!(
            thread.check_at(28),
            Some(Err(true)),
            "no 504 after its head"
        );
    }

    #[test]
    fn a_wait_for_the_client_is_not_the_applications_time() {
        let thread = Thread::called();
        thread.in_flight.while_waiting(|| {
            assert_eq!(thread.check_at(100), Some(Ok(10)));
        });
        assert_eq!(
            thread.check_at(105),
            Some(Ok(10)),
            "the wait has ended since"
        );
        assert_eq!(thread.check_at(115), Some(Err(false)));
    }

    #[test]
    fn a_late_call_that_goes_on_is_warned_of_once() {
        let thread = Thread::called();
        let warn_at = |seconds| {
            let now = thread.start + Duration::from_secs(seconds);
            let warned = |about| thread.in_flight.warn(about, LIMIT, now);
            let due = [Warning::Slow, Warning::Late].map(warned);
            due.map(|it| matches!(it, Lateness::Due(_)))
        };
        assert_eq!(warn_at(9), [false; 2]);
        assert_eq!((warn_at(10), warn_at(30)), ([true; 2], [false; 2]));
        assert!(thread.in_flight.end(), "nobody has taken it");
    }
}
