//! The end of a child, and its likely cause.

use std::fmt;

use nix::sys::signal::Signal;

/// The end of a process, as wait(2) reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitKind {
    Exited { code: i32 },
    Signalled { signal: i32, core_dumped: bool },
}

/// An end, and whether the kernel has killed for lack of memory meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) kind: ExitKind,
    pub(crate) out_of_memory: bool,
}

/// The cause of an end that the master did not ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    Exit,
    Crash,
    OutOfMemory,
    ForeignSignal,
}

impl Death {
    pub(crate) fn cause(&self) -> Cause {
        match self.kind {
            ExitKind::Exited { .. } => Cause::Exit,
            ExitKind::Signalled { signal, .. } if is_crash(signal) => Cause::Crash,
            ExitKind::Signalled { signal, .. } if signal == Signal::SIGKILL as i32 => {
                if self.out_of_memory {
                    Cause::OutOfMemory
                } else {
                    Cause::ForeignSignal
                }
            }
            ExitKind::Signalled { .. } => Cause::ForeignSignal,
        }
    }

    pub(crate) fn exit_code(&self) -> Option<i32> {
        match self.kind {
            ExitKind::Exited { code } => Some(code),
            ExitKind::Signalled { .. } => None,
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (signal, core_dumped) = match self.kind {
            ExitKind::Exited { code } => return write!(f, "exited with code {code}"),
            ExitKind::Signalled {
                signal,
                core_dumped,
            } => (signal, core_dumped),
        };
        let name = signal_name(signal);
        match self.cause() {
            Cause::Crash => write!(f, "crashed with {name}")?,
            Cause::OutOfMemory => write!(f, "was killed by the kernel: out of memory")?,
            _ => write!(f, "was killed by {name}, which was not sent by the master")?,
        }
        f.write_str(if core_dumped { " (core dumped)" } else { "" })
    }
}

/// The signals that the process's own faults raise.
fn is_crash(signal: i32) -> bool {
    matches!(
        signal,
        libc::SIGSEGV
            | libc::SIGBUS
            | libc::SIGABRT
            | libc::SIGILL
            | libc::SIGFPE
            | libc::SIGSYS
            | libc::SIGTRAP
    )
}

fn signal_name(signal: i32) -> String {
    Signal::try_from(signal).map_or_else(
        |_| format!("signal {signal}"),
        |signal| signal.as_str().to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn killed_by(signal: Signal, out_of_memory: bool) -> Death {
        Death {
            kind: ExitKind::Signalled {
                signal: signal as i32,
                core_dumped: false,
            },
            out_of_memory,
        }
    }

    #[test]
    fn every_cause_is_told_apart() {
        assert_eq!(killed_by(Signal::SIGSEGV, true).cause(), Cause::Crash);
        assert_eq!(killed_by(Signal::SIGKILL, true).cause(), Cause::OutOfMemory);
        assert_eq!(
            killed_by(Signal::SIGKILL, false).cause(),
            Cause::ForeignSignal
        );
        assert_eq!(
            killed_by(Signal::SIGPIPE, true).cause(),
            Cause::ForeignSignal
        );
        let exited = Death {
            kind: ExitKind::Exited { code: 7 },
            out_of_memory: true,
        };
        assert_eq!(exited.cause(), Cause::Exit);
        assert_eq!(exited.to_string(), "exited with code 7");
    }

    #[test]
    fn a_signal_without_a_name_is_a_number() {
        let death = Death {
            kind: ExitKind::Signalled {
                signal: 40,
                core_dumped: true,
            },
            out_of_memory: false,
        };
        assert_eq!(
            death.to_string(),
            "was killed by signal 40, which was not sent by the master (core dumped)"
        );
    }
}
