//! How an application is made in each child.

use std::path::PathBuf;

use crate::app::App;
use crate::metrics::{Metric, MetricError};
use crate::runner::Runner;
use crate::settings::{Setting, Settings};
use crate::worker_context::WorkerContext;

/// How to make an [`App`]. The master holds it and never loads it; a worker does, after the fork.
///
/// ```
/// use oxicorn_common::{App, Application, LoadError, Request, Response, WorkerContext};
///
/// struct Greeting;
///
/// impl Application for Greeting {
///     fn name(&self) -> &str {
///         "greeting"
///     }
///
///     fn load(&self, context: &WorkerContext) -> Result<Box<dyn App>, LoadError> {
///         let text = format!("Hello from worker {}\n", context.age);
///         Ok(Box::new(move |_: &mut Request| {
///             Response::new(http::StatusCode::OK).body(text.clone().into_bytes().into())
///         }))
///     }
/// }
/// ```
pub trait Application: Send + Sync {
    /// The positional argument that names it, such as `native:hello`.
    fn name(&self) -> &str;

    /// The settings that it brings. While it is served they are read like the server's own: from the command line, the
    /// environment and the files, with `--help` and `--print-config`. The master asks for them before it reads any.
    ///
    /// Each row reads its text into a struct of the application's in [`Settings::application_values`].
    fn settings(&self) -> &'static [Setting] {
        &[]
    }

    /// What it counts itself. The figures are those of all its processes together; they are in the server's `/metrics`
    /// and `/status`. A process counts with handles from [`WorkerContext::metrics`]:
    ///
    /// ```
    /// use oxicorn_common::{App, Application, LoadError, Metric, Request, Response, WorkerContext};
    ///
    /// struct Shop;
    ///
    /// static METRICS: [Metric; 2] = [
    ///     Metric::counter("shop_orders_total", "Orders.").by("payment", &["card", "cash"]),
    ///     Metric::histogram("shop_order_euros", "Prices of orders.", &[10.0, 100.0]),
    /// ];
    ///
    /// impl Application for Shop {
    ///     fn name(&self) -> &str {
    ///         "shop"
    ///     }
    ///
    ///     fn metrics(&self) -> &'static [Metric] {
    ///         &METRICS
    ///     }
    ///
    ///     fn load(&self, context: &WorkerContext) -> Result<Box<dyn App>, LoadError> {
    ///         let by_card = context.metrics.counter(("shop_orders_total", "card"))?;
    ///         let prices = context.metrics.histogram("shop_order_euros")?;
    ///         Ok(Box::new(move |_: &mut Request| {
    ///             by_card.inc();
    ///             prices.observe(12.5);
    ///             Response::text("thank you")
    ///         }))
    ///     }
    /// }
    /// ```
    ///
    /// Names are checked at the start ([`Metric`]). A reload may bring others: each is known by its name.
    fn metrics(&self) -> &'static [Metric] {
        &[]
    }

    /// How many 64-bit words of memory all of its processes share ([`WorkerContext::shared_memory`]). The master
    /// makes them before the first fork, all 0. It keeps them over reloads as long as an application of this name
    /// asks for the same number.
    fn shared_words(&self) -> usize {
        0
    }

    /// Loads the application to see whether that works, for `check_config`. The process ends afterwards.
    fn check(&self, settings: &Settings) -> Result<(), LoadError> {
        let _ = settings;
        Ok(())
    }

    /// Loads the code once for all web workers of a generation, for `preload_app`: in the process that they are
    /// then forked from. [`Application::load`] follows in each of them and does the rest.
    fn preload(&self, settings: &Settings) -> Result<(), LoadError> {
        let _ = settings;
        Ok(())
    }

    /// Whether [`Application::preload`] has anything to do.
    fn can_preload(&self) -> bool {
        false
    }

    /// Whether [`Application::load`] may be called again in processes that are forked from one that has loaded and
    /// served it (`refork_after`). They share what it keeps outside of its [`App`]: in itself, and in statics.
    fn can_refork(&self) -> bool {
        false
    }

    /// Prepares the memory of a worker for being shared, before workers are forked from it. It has drained, its [`App`]
    /// is gone, and it runs no thread of the server's. Returns what forbids to fork it.
    fn settle(&self) -> Result<(), String> {
        Ok(())
    }

    /// Makes the application of a web worker: opens pools, warms caches. Called once, after the fork.
    fn load(&self, context: &WorkerContext) -> Result<Box<dyn App>, LoadError>;

    /// The files that the code of this process was loaded from so far, for `reload` to watch. Called in a
    /// worker, by a thread that serves no requests.
    fn source_files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Makes the background work of a runner process, if the application has any.
    fn runner(&self, context: &WorkerContext) -> Result<Option<Runner>, LoadError> {
        let _ = context;
        Ok(None)
    }

    /// Whether [`Application::runner`] returns one. If so, the master forks `runners` processes.
    fn has_runner(&self) -> bool {
        false
    }
}

/// Why an application could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no application of that name, or something that it needs is missing. The child exits with
    /// [`crate::exit_code::LOAD_ERROR`].
    #[error("{0:#}")]
    Unusable(anyhow::Error),
    /// Its own code has failed. The child exits with [`crate::exit_code::BOOT_ERROR`].
    #[error("{0:#}")]
    Broken(anyhow::Error),
}

impl From<anyhow::Error> for LoadError {
    fn from(reason: anyhow::Error) -> Self {
        Self::Unusable(reason)
    }
}

impl From<MetricError> for LoadError {
    fn from(reason: MetricError) -> Self {
        Self::Unusable(reason.into())
    }
}
