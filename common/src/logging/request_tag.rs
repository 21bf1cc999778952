//! Which request a line is about: id and trace of the request that the calling thread works for.
//!
//! A request thread enters a [`RequestScope`] for as long as it works for a request. Everything that is logged on that
//! thread meanwhile, by the server, the application or its libraries, carries the [`RequestTag`]. Other threads have
//! none, unless they log on behalf of a request.

use std::cell::Cell;
use std::marker::PhantomData;

use super::json_object::JsonObject;
use crate::request::{RequestHead, RequestId, TraceContext};

thread_local! {
    static CURRENT: Cell<RequestTag> = const { Cell::new(RequestTag::NONE) };
}

/// What a line says about its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestTag {
    pub id: Option<RequestId>,
    pub trace: Option<TraceContext>,
}

impl RequestTag {
    /// No request.
    pub const NONE: Self = Self {
        id: None,
        trace: None,
    };

    /// That of the request with this head.
    pub fn of(head: &RequestHead) -> Self {
        Self {
            id: RequestId::given(head.id.as_bytes()),
            trace: TraceContext::of(head),
        }
    }

    /// That with these texts, as another logger has kept them; what is no id, or no trace, is none.
    pub fn named(id: &str, trace_id: &str, span_id: &str) -> Self {
        Self {
            id: RequestId::given(id.as_bytes()),
            trace: TraceContext::parse(format!("00-{trace_id}-{span_id}-00").as_bytes()),
        }
    }

    /// That of the request that this thread works for.
    pub fn current() -> Self {
        CURRENT.get()
    }

    /// Writes the members of a line that is JSON.
    pub(super) fn describe(&self, object: &mut JsonObject<'_>) {
        if let Some(id) = &self.id {
            object.text("request_id", id.as_str());
        }
        if let Some(trace) = &self.trace {
            object.text("trace_id", trace.trace_id());
            object.text("span_id", trace.span_id());
        }
    }

    /// From now on this thread works for the request, until the scope is dropped.
    pub fn enter(self) -> RequestScope {
        CURRENT.set(self);
        RequestScope(PhantomData)
    }
}

impl Default for RequestTag {
    fn default() -> Self {
        Self::NONE
    }
}

/// The time for which a thread works for one request. Scopes do not nest: the end of one leaves no request.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct RequestScope(PhantomData<*const ()>);

impl Drop for RequestScope {
    fn drop(&mut self) {
        CURRENT.set(RequestTag::NONE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_that_of_its_thread_and_ends_with_the_scope() {
        let tag = |number| RequestTag {
            id: Some(RequestId::of(number)),
            trace: None,
        };
        let scope = tag(1).enter();
        assert_eq!(RequestTag::current(), tag(1));
        let other = std::thread::spawn(RequestTag::current);
        assert_eq!(other.join().expect("no panic"), RequestTag::NONE);
        drop(scope);
        assert_eq!(RequestTag::current(), RequestTag::NONE);
    }
}
